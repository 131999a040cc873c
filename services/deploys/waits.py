"""Waiting while a turn is had: every wait ends at once when the turn is lost or Usher stops."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from usher.broker.consumer import ConsumerLost
from usher.core.errors import UsherError
from usher.runtime.clock import Clock
from usher.runtime.tasks import end


class Stopping(UsherError):
    """Usher stops: no new turn"""


class Waits:
    """The waits of one turn. Each raises ConsumerLost when `lost` is set, Stopping when `stop` is."""

    def __init__(self, clock: Clock, lost: asyncio.Event, stop: asyncio.Event) -> None:
        self._clock = clock
        self.lost = lost
        self.stop = stop

    def check(self) -> None:
        """Raise if the turn is lost or Usher stops."""
        if self.lost.is_set():
            raise ConsumerLost
        if self.stop.is_set():
            raise Stopping

    async def sleep(self, seconds: float, changed: asyncio.Event | None = None) -> None:
        """Wait that long, or until `changed` is set."""
        waits: list[asyncio.Future[object]] = [asyncio.ensure_future(self._clock.sleep(seconds))]
        if changed:
            waits.append(asyncio.ensure_future(changed.wait()))
        try:
            await self.until(*waits)
        finally:
            await end(*waits)

    @asynccontextmanager
    async def one_of(self, slots: asyncio.Semaphore) -> AsyncIterator[None]:
        """Have one of those for as long as the block runs."""
        acquiring: asyncio.Future[object] = asyncio.ensure_future(slots.acquire())
        try:
            await self.until(acquiring)
            yield
        finally:
            # also one that was got in the very moment of a stop; a wait that is cancelled hands it on itself
            if acquiring.done() and not acquiring.cancelled():
                slots.release()
            else:
                acquiring.cancel()

    async def until(self, *waits: asyncio.Future[object]) -> None:
        """Wait until one of these is done. They stay the caller's, who alone cancels them: so that nothing that one of
        them got is dropped, not even in the very moment of a stop."""
        ends: list[asyncio.Future[object]] = [asyncio.ensure_future(event.wait()) for event in (self.lost, self.stop)]
        try:
            await asyncio.wait((*waits, *ends), return_when=asyncio.FIRST_COMPLETED)
            self.check()
        finally:
            await end(*ends)
