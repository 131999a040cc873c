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

CALM_SECONDS = 0.2
"""A waiting turn looks at the board at most once in this time: a burst has many moves."""

TICK = 0.001
"""The clock counts milliseconds. A shorter wait can only come from rounding, and would be repeated for ever."""

LEAD_SECONDS = 0.1
"""How long before the end of the window the guard of the command is started, so that it is ready then."""


class KeptWindow:
    """The window of a server, kept by the turn that holds one of its messages.

    It is over when it closes, or if the held message is no longer open, and then stays over. It never lasts longer than
    the cap, even if somebody sets the clock back meanwhile.
    """

    def __init__(self, context: Context, server: Server, held: BackMessage, waits: Waits) -> None:
        self._context = context
        self._server = server
        self._held = held
        self._waits = waits
        self._window = context.settings.window.window()
        self._latest = context.clock.monotonic() + self._window.cap / 1000
        self._announced = False
        self._is_over = False

    async def wait(self, lead: float = 0.0) -> None:
        """Wait until `lead` seconds before the end, or until the end. Each message that arrives may move the end."""
        changed = self._context.journal.changed(self._server.name)
        while True:
            changed.clear()
            left = self._left() - lead
            if left < TICK:
                self._is_over = self._is_over or not lead
                return
            if not self._announced:
                self._announced = True
                await self._announce()
                continue
            await self._waits.sleep(min(left, CALM_SECONDS))
            if left > CALM_SECONDS:
                await self._waits.sleep(min(left - CALM_SECONDS, CLOCK_CHECK_SECONDS), changed)

    async def over(self) -> bool:
        """Wait for the end, if it is near. Returns False if it has moved: a message has arrived."""
        if TICK <= (left := self._left()) <= LEAD_SECONDS:
            await self._waits.sleep(left)
        self._is_over = self._left() < TICK
        return self._is_over

    def _left(self) -> float:
        """The seconds that are left; 0 or less if it is over."""
        if self._is_over:
            return 0
        board, clock = self._context.journal.board.server(self._server.name), self._context.clock
        pending = board.pending
        if not (self._held.id in board.open and pending):
            return 0
        closes_at = self._window.closes_at(pending.arrivals, pending.due)
        return min((closes_at - clock.now()) / 1000, self._latest - clock.monotonic())

    async def _announce(self) -> None:
        """Write to the journal that a window is open, unless it is a retry. If that fails, the turn continues."""
        context, pending = self._context, self._context.journal.board.server(self._server.name).pending
        if pending.due:
            return
        closes_at = self._window.closes_at(pending.arrivals)
        at = datetime.fromtimestamp(closes_at / 1000, UTC).strftime("%H:%M:%SZ")
        log.info("%s: a window opened; it closes at %s if no further move arrives", self._server, at)
        opened = WindowOpened(
            server=self._server.name,
            message=self._held.id,
            holder=context.holder,
            closes_at=closes_at,
            at=context.clock.now(),
        )
        try:
            await context.journal.append(opened)
        except NotConfirmed as fault:
            log.info("%s: the window could not be announced: %s", self._server, fault)
