"""The clocks of a machine: the wall clock may jump, the monotonic clock never does."""

import asyncio

from crashes.loop import SimulatedLoop

BEGAN = 1_763_847_600_000
"""The wall clock's time when a run begins (ms)."""


class SimulatedClock:
    """The clock port of one machine. `skew` (ms) is how much its wall clock has jumped."""

    def __init__(self, loop: SimulatedLoop) -> None:
        self.skew = 0
        self._loop = loop

    def now(self) -> int:
        return BEGAN + round(self._loop.time() * 1000) + self.skew

    def monotonic(self) -> float:
        return self._loop.time()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
