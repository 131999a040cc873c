"""The clock port: the current time, and sleeping. Tests have their own implementation."""

import asyncio
import time
from typing import Protocol


class Clock(Protocol):
    """Wall-clock times in milliseconds since 1970 UTC, for people and the journal; monotonic times in seconds."""

    def now(self) -> int:
        """The wall-clock time in ms."""

    def monotonic(self) -> float:
        """The time in seconds on a clock that never goes back."""

    async def sleep(self, seconds: float) -> None:
        """Sleep."""


class SystemClock:
    """The machine's clock."""

    def now(self) -> int:
        return time.time_ns() // 1_000_000

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
