"""Keeping the window: a turn waits until a burst of moves is over."""

import logging
from datetime import UTC, datetime

from deploys.context import Context
from deploys.waits import Waits
from usher.core.errors import NotConfirmed
from usher.core.events import WindowOpened
from usher.core.messages import BackMessage
from usher.core.servers import Server

log = logging.getLogger(__name__)

CLOCK_CHECK_SECONDS = 10.0
"""A waiting turn looks at the clock at least this often: somebody may have set it."""


async def keep_window(context: Context, server: Server, held: BackMessage, waits: Waits) -> None:
    """Wait until the server's window closes, or the held message is no longer open.

    Each message that arrives may move the end of the window.
    """
    clock, window, announced = context.clock, context.settings.window.window(), False
    latest = clock.monotonic() + window.cap / 1000  # a limit even if somebody sets the clock back meanwhile
    changed = context.journal.changed(server.name)
    while True:
        changed.clear()
        board = context.journal.board.server(server.name)
        pending = board.pending
        if not (held.id in board.open and pending):
            return
        closes_at = window.closes_at(pending.arrivals, pending.due)
        left = min((closes_at - clock.now()) / 1000, CLOCK_CHECK_SECONDS, latest - clock.monotonic())
        if left <= 0:
            return
        if not (announced or pending.due):
            announced = True
            await _announce(context, server, held, closes_at)
        await waits.sleep(left, changed)


async def _announce(context: Context, server: Server, held: BackMessage, closes_at: int) -> None:
    """Write to the journal that a window is open. If that fails, the turn continues."""
    at = datetime.fromtimestamp(closes_at / 1000, UTC).strftime("%H:%M:%SZ")
    log.info("%s: a window opened; it closes at %s if no further move arrives", server, at)
    now = context.clock.now()
    try:
        await context.journal.append(
            WindowOpened(server=server.name, message=held.id, holder=context.holder, closes_at=closes_at, at=now)
        )
    except NotConfirmed as fault:
        log.info("%s: the window could not be announced: %s", server, fault)
