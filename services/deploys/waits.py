"""Waiting while a turn is had: every wait ends at once when the turn is lost or Usher stops."""

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

from usher.broker.consumer import ConsumerLost
from usher.broker.link import first
from usher.clock import Clock
from usher.errors import UsherError

T = TypeVar("T")


class Stopping(UsherError):
    """Usher stops: no new turn"""


class Waits:
    """The waits of one turn. Each raises ConsumerLost when `lost` is set, Stopping when `stop` is."""

    def __init__(self, clock: Clock, lost: asyncio.Event, stop: asyncio.Event) -> None:
        self._clock = clock
        self.lost = lost
        self.stop = stop

    @property
    def over(self) -> bool:
        """Whether the turn is lost or Usher stops."""
        return self.lost.is_set() or self.stop.is_set()

    async def sleep(self, seconds: float, changed: asyncio.Event | None = None) -> None:
        """Wait that long, or until `changed` is set."""
        waits: list[asyncio.Future[object]] = [asyncio.ensure_future(self._clock.sleep(seconds))]
        if changed:
            waits.append(asyncio.ensure_future(changed.wait()))
        try:
            await self.unless_over(asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED))
        finally:
            for task in waits:
                task.cancel()
            await asyncio.gather(*waits, return_exceptions=True)

    async def unless_over(self, waiting: Awaitable[T]) -> T:
        """What that gives."""
        return await first(first(waiting, self.lost, ConsumerLost), self.stop, Stopping)
