"""The window: the wait between the first pending message and the deploy. Pure functions of times and durations."""

from collections.abc import Collection
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Window:
    """A quiet period after the last message, and a cap after the first one, in milliseconds.

    The cap limits the wait. A quiet period alone would starve a server whose moves never pause.
    """

    quiet: int
    cap: int

    def closes_at(self, arrivals: Collection[int]) -> int:
        """When the window closes (ms), for messages that arrived at these times (ms, at least one)."""
        return min(max(arrivals) + self.quiet, min(arrivals) + self.cap)
