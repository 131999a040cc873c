"""Everything that happened in a run, in order, for the checker and for people who investigate a failure."""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from crashes.loop import SimulatedLoop


@dataclass(frozen=True, slots=True)
class Entry:
    """Something that happened, at a virtual time (s)."""

    at: float
    what: str
    facts: dict[str, object]

    def __str__(self) -> str:
        return f"{self.at:10.3f}  {self.what:20} " + "  ".join(f"{name}={fact}" for name, fact in self.facts.items())

    def __getitem__(self, name: str) -> object:
        return self.facts[name]


class History:
    """All entries of a run. `watch` is called with each entry, so that faults can wait for one."""

    def __init__(self, loop: SimulatedLoop) -> None:
        self.entries: list[Entry] = []
        self.closed = False
        self.watch: Callable[[str, dict[str, object]], None] = lambda what, facts: None
        self._loop = loop

    def note(self, what: str, /, **facts: object) -> None:
        """Add an entry, which happens now."""
        if not self.closed:
            self.entries.append(Entry(self._loop.time(), what, facts))
            self.watch(what, facts)

    def of(self, *whats: str) -> Iterator[Entry]:
        """The entries of these kinds, in order."""
        return (entry for entry in self.entries if entry.what in whats)

    def around(self, at: float, lines: int = 30) -> str:
        """The entries around that time."""
        place = sum(entry.at <= at for entry in self.entries)
        return "\n".join(map(str, self.entries[max(0, place - lines) : place + lines // 3]))

    def digest(self) -> str:
        """A digest that is equal for equal histories."""
        return hashlib.sha256("\n".join(map(str, self.entries)).encode()).hexdigest()
