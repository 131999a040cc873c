"""The clock port: what time it is, and waiting. Tests bring their own."""

import asyncio
import time
from typing import Protocol


class Clock(Protocol):
    """Times for people and journals in milliseconds since 1970 UTC; spans on a clock that never jumps, in seconds."""

    def now(self) -> int:
        """Wall-clock time in ms."""

    def monotonic(self) -> float:
        """Seconds on a clock that only goes forward."""

    async def sleep(self, seconds: float) -> None:
        """Wait that long."""


class SystemClock:
    """The machine's own clock."""

    def now(self) -> int:
        return time.time_ns() // 1_000_000

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
