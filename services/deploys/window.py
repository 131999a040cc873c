"""Keeping the window: a turn waits until a storm is over."""

import logging
from datetime import UTC, datetime

from deploys.context import Context
from deploys.waits import Waits
from usher.core.errors import NotConfirmed
from usher.core.events import WindowOpened
from usher.core.messages import BackMessage
from usher.core.servers import Server

log = logging.getLogger(__name__)

LONGEST_LOOK = 10.0
"""Seconds after which a waiting turn looks at the clock again: somebody may have set it."""


async def keep_window(context: Context, server: Server, held: BackMessage, waits: Waits) -> None:
    """Wait until the window of what waits closes, or the held message waits no more; each that comes may move it."""
    clock, window, said = context.clock, context.settings.window.window(), False
    latest = clock.monotonic() + window.cap / 1000  # also when somebody sets the clock back meanwhile
    changed = context.journal.changed(server.name)
    while True:
        changed.clear()
        board = context.journal.board.server(server.name)
        if held.id not in board.open:
            return
        closes_at = window.closes_at(board.arrivals or (held.queued_at,))
        left = min((closes_at - clock.now()) / 1000, LONGEST_LOOK, latest - clock.monotonic())
        if left <= 0:
            return
        if not said:
            said = True
            await _say(context, server, held, closes_at)
        await waits.sleep(left, changed)


async def _say(context: Context, server: Server, held: BackMessage, closes_at: int) -> None:
    """Let everybody see that somebody has the turn. If that cannot be written, it does not cost the turn."""
    at = datetime.fromtimestamp(closes_at / 1000, UTC).strftime("%H:%M:%SZ")
    log.info("%s: a window opened; it closes at %s if nothing more comes", server, at)
    now = context.clock.now()
    try:
        await context.journal.append(
            WindowOpened(server=server.name, message=held.id, holder=context.holder, closes_at=closes_at, at=now)
        )
    except NotConfirmed as fault:
        log.info("%s: nobody was told of the window: %s", server, fault)
