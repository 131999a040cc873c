"""The board: what there is to do, folded from the journal, event by event. Every reader gets the same board."""

from collections.abc import Iterator

from usher.events import (
    DeployEnded,
    DeployInterrupted,
    DeployTaken,
    Event,
    MessagesParked,
    MessagesRetried,
    MessagesWithdrawn,
    TurnGivenBack,
)
from usher.messages import BackMessage
from usher.server_board import ServerBoard
from usher.states import LAST, Change, State

REMEMBERED = 100_000
"""Messages in a last state that are remembered, so that a late delivery of one is acked. The oldest are forgotten."""


class Board:
    """All servers. `apply` is the only way in; a message's state depends on nothing but the events before."""

    def __init__(
        self,
        servers: dict[str, ServerBoard] | None = None,
        closed: dict[str, State] | None = None,
        told: dict[str, int] | None = None,
    ) -> None:
        """An empty board, or the one with these parts: `closed` are the messages in a last state, oldest first, and
        `told` says how often those were told that were told more than once."""
        self.servers = servers or {}
        self.closed = closed or {}
        self.told = told or {}
        self._states = {m: state for server in self.servers.values() for m, state in server.states()}

    def __iter__(self) -> Iterator[str]:
        return iter(self.servers)

    def server(self, name: str) -> ServerBoard:
        """That server's part, empty if the journal has nothing of it."""
        return self.servers.setdefault(name, ServerBoard())

    def state(self, message: str) -> State | None:
        """Where that message is; None if the journal does not know it."""
        return self._states.get(message) or self.closed.get(message)

    def apply(self, event: Event, *, now: int, read_at: float) -> tuple[Change, ...]:
        """Take in the next event, read at `now` (ms) and at `read_at` on the reader's own clock (s).

        Returns the messages whose state it changed.
        """
        match event:
            case BackMessage():
                changes = self._accepted(event, now)
            case DeployTaken():
                changes = self.server(event.server).take(event, read_at)
            case DeployEnded():
                changes = self.server(event.server).end(event)
            case DeployInterrupted():
                changes = self.server(event.server).interrupt(event)
            case MessagesParked() | MessagesRetried():
                changes = self.server(event.server).decide(event)
            case MessagesWithdrawn():
                changes = self.server(event.server).withdraw(event)
            case TurnGivenBack():
                self.server(event.server).ended_turns = frozenset({event.message})
                changes = []
            case _:
                changes = []
        for change in changes:
            self._note(change)
        return tuple(changes)

    def _accepted(self, message: BackMessage, now: int) -> list[Change]:
        if self.state(message.id) in (None, State.RETRYING):
            return self.server(message.server).accept(message, now)
        self.told[message.id] = self.told.get(message.id, 1) + 1
        return []

    def _note(self, change: Change) -> None:
        if change.state not in LAST:
            self._states[change.message] = change.state
            return
        self._states.pop(change.message, None)
        self.closed[change.message] = change.state
        if len(self.closed) > REMEMBERED:
            oldest = next(iter(self.closed))
            del self.closed[oldest]
            self.told.pop(oldest, None)
