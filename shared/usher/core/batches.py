"""Batches: the messages of one deploy. The newest message of each issue stands."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from usher.core.issues import Issue
from usher.core.messages import BackMessage

ISSUES_BYTES = 96 * 1024
"""The maximum length of a batch's issues, joined by spaces. Linux limits an argument or variable to 128 KiB."""

MESSAGES = 50_000
"""The maximum number of messages in a batch, so that a taking stays far below the broker's limit of 16 MiB."""


@dataclass(frozen=True, slots=True)
class Batch:
    """The messages that one deploy covers. The newest message of each issue stands; it supersedes the older ones."""

    standing: tuple[BackMessage, ...]
    superseded: tuple[BackMessage, ...]

    @classmethod
    def of(cls, messages: Iterable[BackMessage]) -> "Batch":
        """The batch of these messages, which are in the order of their arrival."""
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
        """The issues, sorted by number, without duplicates."""
        return tuple(message.issue for message in self.standing)

    @property
    def attempt(self) -> int:
        """The highest attempt among the standing messages."""
        return max((message.attempt for message in self.standing), default=1)


def choose(held: BackMessage, waiting: Collection[BackMessage], limit: int) -> tuple[BackMessage, ...]:
    """The messages for the next deploy: the held one first, then the oldest, with at most `limit` different issues.

    All are of the held one's project. `waiting` is in the order of arrival. The messages that do not fit are left for
    the next turn.
    """
    chosen, issues, size = [held], {held.issue}, len(str(held.issue))
    for message in waiting:
        if message.id == held.id or message.issue.project != held.issue.project:
            continue
        if message.issue not in issues:
            more = size + 1 + len(str(message.issue))
            if len(issues) >= limit or more > ISSUES_BYTES:
                continue
            size = more
            issues.add(message.issue)
        chosen.append(message)
        if len(chosen) >= MESSAGES:
            break
    return tuple(chosen)
