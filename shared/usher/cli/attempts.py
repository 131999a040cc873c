"""Attempts in words: the attempts of each move, when the next ones are due, and who ordered a change."""

from collections.abc import Iterable

from usher.api.types import MessageState
from usher.cli.screen import clock, issues, zoned
from usher.core.errors import UnknownServer
from usher.settings import Settings


def by_move(messages: Iterable[MessageState]) -> list[list[MessageState]]:
    """Group messages by move. The moves keep their order; each group is in the order of its attempts."""
    moves: dict[str, list[MessageState]] = {}
    for message in messages:
        moves.setdefault(message.origin or message.id, []).append(message)
    return [sorted(attempts, key=lambda message: message.queued_at) for attempts in moves.values()]


def note(message: MessageState, settings: Settings) -> str:
    """A note about a message, beside its state: `attempt 2 of 4 at 14:05:00`, `received 3 times`, `by jane@desk`."""
    at = f" at {clock(message.queued_at)}" if message.state == "retrying" else ""
    notes = [f"{attempt(message, settings)}{at}"] if message.attempt > 1 or at else []
    notes += [f"received {message.received} times"] if message.received > 1 else []
    notes += [f"moved by {message.moved_by}"] if message.moved_by and message.attempt == 1 else []
    notes += [f"by {message.by}"] if message.by else []
    return ", ".join(notes)


def attempt(message: MessageState, settings: Settings) -> str:
    """`attempt 2 of 4`, or only `attempt 2` if the settings do not have the server."""
    try:
        limit = len(settings.retries.ladder(settings.catalogue.named(message.server)).delays) + 1
    except UnknownServer:
        limit = 0
    return f"attempt {message.attempt}" + (f" of {limit}" if message.attempt <= limit else "")


def again(retrying: Iterable[MessageState], settings: Settings) -> list[str]:
    """When a server's failed messages are retried, soonest first: one sentence per time."""
    due: dict[tuple[object, int], list[MessageState]] = {}
    for message in sorted(retrying, key=lambda message: (message.queued_at, message.attempt, message.issue)):
        due.setdefault((message.queued_at, message.attempt), []).append(message)
    return [
        f"Next attempt at {zoned(one.queued_at)}: {issues(m.issue for m in same)} ({attempt(one, settings)})."
        for same in due.values()
        for one in same[:1]
    ]
