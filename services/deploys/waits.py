"""Waiting during a turn: every wait ends at once if the turn is lost, the journal is not understood, or Usher stops."""

import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from copy import copy
from typing import TypeVar

from usher.broker.consumer import ConsumerLost
from usher.broker.journal import Journal
from usher.core.errors import UsherError
from usher.runtime.clock import Clock
from usher.runtime.tasks import Ending, end, first

T = TypeVar("T")


class Stopping(UsherError):
    """Usher is stopping: no new turn is taken"""


class Held(UsherError):
    """a hold stops this server: no new turn is taken"""


class Waits:
    """The waits of one turn.

    Each raises ConsumerLost when `lost` is set, NotUnderstood when the journal's reader has halted, and Stopping when
    `stop` is set. Those of `unless` also raise Held when a hold stops the server.
    """

    def __init__(self, clock: Clock, lost: asyncio.Event, journal: Journal, stop: asyncio.Event) -> None:
        self._clock = clock
        self.lost = lost
        self._endings: tuple[Ending, ...] = (
            (lost, ConsumerLost), (journal.halted, journal.why_halted), (stop, Stopping)
        )  # fmt: skip

    def unless(self, held: asyncio.Event) -> "Waits":
        """The same waits, which also end when `held` is set."""
        waits = copy(self)
        waits._endings = (*self._endings, (held, Held))
        return waits

    @property
    def over(self) -> bool:
        """Whether no new command may start."""
        return any(event.is_set() for event, _ in self._endings)

    def check(self) -> None:
        """Raise if the turn is lost, the journal is not understood, or Usher stops."""
        for event, error in self._endings:
            if event.is_set():
                raise error()

    async def first(self, waiting: Awaitable[T]) -> T:
        """The result of `waiting`. If one of the endings comes first, `waiting` is cancelled."""
        return await first(waiting, *self._endings)

    async def sleep(self, seconds: float, changed: asyncio.Event | None = None) -> None:
        """Wait that long, or until `changed` is set."""
        waits: list[asyncio.Future[object]] = [asyncio.ensure_future(self._clock.sleep(seconds))]
        if changed:
            waits.append(asyncio.ensure_future(changed.wait()))
        try:
            await self._until(*waits)
        finally:
            await end(*waits)

    @asynccontextmanager
    async def one_of(self, slots: asyncio.Semaphore) -> AsyncIterator[None]:
        """Hold one of the slots while the block runs."""
        acquiring: asyncio.Future[object] = asyncio.ensure_future(slots.acquire())
        try:
            await self._until(acquiring)
            yield
        finally:
            # release a slot that was acquired in the moment of a stop, too; a cancelled `acquire` passes its slot on
            if acquiring.done() and not acquiring.cancelled():
                slots.release()
            else:
                acquiring.cancel()

    async def _until(self, *waits: asyncio.Future[object]) -> None:
        """Wait until one of `waits` is done.

        Only the caller cancels them, so that nothing they acquired is dropped, not even in the moment of a stop.
        """
        endings: list[asyncio.Future[object]] = [asyncio.ensure_future(event.wait()) for event, _ in self._endings]
        try:
            await asyncio.wait((*waits, *endings), return_when=asyncio.FIRST_COMPLETED)
            self.check()
            for ending, (_, error) in zip(endings, self._endings, strict=True):
                if ending.done():  # the event has been cleared again since
                    raise error()
        finally:
            await end(*endings)
