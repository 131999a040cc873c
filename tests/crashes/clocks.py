"""A machine's clock: people set it, and it jumps; the one that only goes forward does not."""

import asyncio

from crashes.loop import SimulatedLoop

BEGAN = 1_763_847_600_000
"""What the clocks say when a run begins (ms)."""


class SimulatedClock:
    """The clock port of one machine."""

    def __init__(self, loop: SimulatedLoop) -> None:
        self.skew = 0
        self._loop = loop

    def now(self) -> int:
        return BEGAN + round(self._loop.time() * 1000) + self.skew

    def monotonic(self) -> float:
        return self._loop.time()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
