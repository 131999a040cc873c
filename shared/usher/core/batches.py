"""Batches: the messages of one deploy, and what of them stands."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from usher.core.issues import Issue
from usher.core.messages import BackMessage

ISSUES_BYTES = 96 * 1024
"""All issues of a batch, joined by spaces, are no longer: Linux executes no argument or variable over 128 KiB."""

MESSAGES = 50_000
"""Messages in one batch at the most, so that a taking stays far below the broker's 16 MiB."""


@dataclass(frozen=True, slots=True)
class Batch:
    """What one deploy covers: the newest message of each issue stands, the older ones are superseded by it."""

    standing: tuple[BackMessage, ...]
    superseded: tuple[BackMessage, ...]

    @classmethod
    def of(cls, messages: Iterable[BackMessage]) -> "Batch":
        """The batch of these messages, given in the order in which they came."""
        newest: dict[Issue, BackMessage] = {}
        older: list[BackMessage] = []
        for message in messages:
            before = newest.get(message.issue)
            if before is None or message.age >= before.age:
                newest[message.issue] = message
                older += [before] if before else []
            else:
                older.append(message)
        return cls(tuple(newest[issue] for issue in sorted(newest)), tuple(older))

    @property
    def issues(self) -> tuple[Issue, ...]:
        """The union of the issues, sorted by number, none twice."""
        return tuple(message.issue for message in self.standing)

    @property
    def attempt(self) -> int:
        """The highest attempt among what stands."""
        return max((message.attempt for message in self.standing), default=1)


def choose(held: BackMessage, waiting: Collection[BackMessage], most: int) -> tuple[BackMessage, ...]:
    """What the next deploy takes: the held message first, then the oldest, at most `most` different issues.

    `waiting` comes in the order in which it came; what does not fit is the next turn's.
    """
    chosen, issues, size = [held], {held.issue}, len(str(held.issue))
    for message in waiting:
        if message.id == held.id:
            continue
        if message.issue not in issues:
            more = size + 1 + len(str(message.issue))
            if len(issues) >= most or more > ISSUES_BYTES:
                continue
            size = more
            issues.add(message.issue)
        chosen.append(message)
        if len(chosen) >= MESSAGES:
            break
    return tuple(chosen)
