"""What happened in a run, in one order: the checker reads it, and a person who wants to know why."""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from crashes.loop import SimulatedLoop


@dataclass(frozen=True, slots=True)
class Entry:
    """Something that happened, at so many virtual seconds."""

    at: float
    what: str
    facts: dict[str, object]

    def __str__(self) -> str:
        return f"{self.at:10.3f}  {self.what:20} " + "  ".join(f"{name}={fact}" for name, fact in self.facts.items())

    def __getitem__(self, name: str) -> object:
        return self.facts[name]


class History:
    """All of it. `watch` is told of everything as it happens: faults wait for what they are to meet."""

    def __init__(self, loop: SimulatedLoop) -> None:
        self.entries: list[Entry] = []
        self.closed = False
        self.watch: Callable[[str, dict[str, object]], None] = lambda what, facts: None
        self._loop = loop

    def note(self, what: str, /, **facts: object) -> None:
        """It happens now."""
        if not self.closed:
            self.entries.append(Entry(self._loop.time(), what, facts))
            self.watch(what, facts)

    def of(self, *whats: str) -> Iterator[Entry]:
        """The entries of these kinds, in order."""
        return (entry for entry in self.entries if entry.what in whats)

    def around(self, at: float, lines: int = 30) -> str:
        """What happened about that time."""
        place = sum(entry.at <= at for entry in self.entries)
        return "\n".join(map(str, self.entries[max(0, place - lines) : place + lines // 3]))

    def digest(self) -> str:
        """The same for the same history."""
        return hashlib.sha256("\n".join(map(str, self.entries)).encode()).hexdigest()
