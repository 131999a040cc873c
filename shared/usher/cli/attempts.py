"""Attempts in words: which messages are of one move, what is tried again and when, and who has decided otherwise."""

from collections.abc import Iterable

from usher.api.types import MessageState
from usher.cli.screen import clock, issues, zoned
from usher.core.errors import UnknownServer
from usher.settings import Settings


def by_move(messages: Iterable[MessageState]) -> list[list[MessageState]]:
    """The messages of each move together, in the order of their attempts; the moves stay as they come."""
    moves: dict[str, list[MessageState]] = {}
    for message in messages:
        moves.setdefault(message.origin or message.id, []).append(message)
    return [sorted(attempts, key=lambda message: message.queued_at) for attempts in moves.values()]


def note(message: MessageState, settings: Settings) -> str:
    """What there is to say of a message beside its state: `again at 14:05:00, attempt 2 of 4`."""
    said = [f"again at {clock(message.queued_at)}"] if message.state == "retrying" else []
    said += [attempt(message, settings)] if message.attempt > 1 or message.state == "retrying" else []
    said += [f"by {message.by}"] if message.by else []
    return ", ".join(said)


def attempt(message: MessageState, settings: Settings) -> str:
    """`attempt 2 of 4`, as far as the settings know the server."""
    try:
        most = len(settings.retries.ladder(settings.catalogue.named(message.server)).delays) + 1
    except UnknownServer:
        most = 0
    return f"attempt {message.attempt}" + (f" of {most}" if message.attempt <= most else "")


def again(retrying: Iterable[MessageState], settings: Settings) -> list[str]:
    """When what failed on a server is tried again, the soonest first: a sentence for each time."""
    due: dict[tuple[object, int], list[MessageState]] = {}
    for message in sorted(retrying, key=lambda message: (message.queued_at, message.attempt, message.issue)):
        due.setdefault((message.queued_at, message.attempt), []).append(message)
    return [
        f"Again at {zoned(one.queued_at)}: {issues(message.issue for message in same)} ({attempt(one, settings)})."
        for same in due.values()
        for one in same[:1]
    ]
