"""What a server's window is computed from, kept up to date so that an arrival costs the same whatever is pending."""

from collections.abc import Iterable
from dataclasses import dataclass

from usher.core.board.entries import Waiting


@dataclass(slots=True)
class Pending:
    """When the first and the last of the waiting moves arrived, and since when the first waiting retry is due (ms)."""

    first: int | None = None
    last: int | None = None
    retry: int | None = None

    @classmethod
    def of(cls, entries: Iterable[Waiting]) -> "Pending":
        """Summarize the entries that wait."""
        pending = cls()
        for entry in entries:
            if not entry.deploying:
                pending.add(entry)
        return pending

    def __bool__(self) -> bool:
        return self.first is not None or self.retry is not None

    def add(self, entry: Waiting) -> None:
        """Add a waiting message."""
        at = entry.arrived_at
        if entry.message.origin is not None:
            self.retry = at if self.retry is None else min(self.retry, at)
        elif self.first is None or self.last is None:
            self.first = self.last = at
        else:
            self.first, self.last = min(self.first, at), max(self.last, at)

    @property
    def arrivals(self) -> tuple[int, ...]:
        """When the first and the last move arrived (ms); nothing if none waits."""
        return () if self.first is None or self.last is None else (self.first, self.last)

    @property
    def due(self) -> tuple[int, ...]:
        """Since when the first retry is due (ms); nothing if none waits."""
        return () if self.retry is None else (self.retry,)
