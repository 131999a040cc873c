"""The window: the wait between the first waiting message and the deploy. Pure functions of times and durations."""

from collections.abc import Collection
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Window:
    """A quiet period after the last message, and a cap after the first; both in milliseconds.

    The cap is what bounds the wait: a quiet period alone starves a server that is never quiet.
    """

    quiet: int
    cap: int

    def closes_at(self, arrivals: Collection[int]) -> int:
        """When the window of messages that arrived at these times (ms, at least one) closes (ms)."""
        return min(max(arrivals) + self.quiet, min(arrivals) + self.cap)
