"""The window: the wait between the first pending message and the deploy. Pure functions of times and durations."""

from collections.abc import Collection
from dataclasses import dataclass

TOGETHER = 1000
"""The retries of one failed deploy are due together, and are published within this time (ms)."""


@dataclass(frozen=True, slots=True)
class Window:
    """A quiet period after the last message, and a cap after the first one, in milliseconds.

    The cap limits the wait. A quiet period alone would starve a server whose moves never pause.
    """

    quiet: int
    cap: int

    def closes_at(self, arrivals: Collection[int], due: Collection[int] = ()) -> int:
        """When the window closes (ms), for moves that arrived at these times (ms) and retries that are `due` (ms).

        A retry opens no window: once it is due, everything that is pending is deployed. At least one time is needed.
        """
        ends = [min(max(arrivals) + self.quiet, min(arrivals) + self.cap)] if arrivals else []
        return min([*ends, min(due) + TOGETHER] if due else ends)
