"""The board: what there is to do, folded from the journal, event by event. Every reader gets the same board."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum

from usher.events import (
    DeployEnded,
    DeployInterrupted,
    DeployTaken,
    Event,
    MessagesParked,
    Outcome,
    TurnGivenBack,
)
from usher.messages import BackMessage


class State(StrEnum):
    """Where a message is. `failed` is owned by a failed result until it is parked; the last three are last states."""

    WAITING = "waiting"
    DEPLOYING = "deploying"
    FAILED = "failed"
    PARKED = "parked"
    SUPERSEDED = "superseded"
    DEPLOYED = "deployed"


OPEN = frozenset({State.WAITING, State.DEPLOYING})
"""States in which a message still has to be deployed; in any other its delivery is acked."""


@dataclass(frozen=True, slots=True)
class Change:
    """A message came into a state, by a deploy or (a message just read) by none."""

    message: str
    state: State
    deploy: str | None = None


@dataclass(slots=True)
class Waiting:
    """A message that has still to be deployed. `arrived_at` (ms) is its `queued_at`, or when it was read if that is
    earlier: a time in the future counts as now."""

    message: BackMessage
    arrived_at: int
    deploying: bool = False


@dataclass(frozen=True, slots=True)
class Taking:
    """A granted taking. `batch` are those of its messages that waited; `read_at` is the reader's own clock (s)."""

    event: DeployTaken
    batch: tuple[BackMessage, ...]
    read_at: float


@dataclass(slots=True)
class ServerBoard:
    """One server's part of the board."""

    open: dict[str, Waiting] = field(default_factory=dict)
    running: Taking | None = None
    last: DeployEnded | DeployInterrupted | None = None
    fence: int = 0
    ended_turns: frozenset[str] = frozenset()
    """Ids of the messages with which the last turn that ended in order had begun, or which it covered."""
    parked: MessagesParked | None = None
    """Said of the running deploy before its result: the reply queue is faster than the journal's copy."""

    @property
    def waiting(self) -> tuple[BackMessage, ...]:
        """What waits and no unfinished deploy covers, in the order in which it came."""
        return tuple(entry.message for entry in self.open.values() if not entry.deploying)

    @property
    def arrivals(self) -> tuple[int, ...]:
        """When what waits arrived (ms): the window's clock."""
        return tuple(entry.arrived_at for entry in self.open.values() if not entry.deploying)


class Board:
    """All servers. `apply` is the only way in; a message's state depends on nothing but the events before."""

    def __init__(self) -> None:
        self._servers: dict[str, ServerBoard] = {}
        self._states: dict[str, State] = {}

    def __iter__(self) -> Iterator[str]:
        return iter(self._servers)

    def server(self, name: str) -> ServerBoard:
        """That server's part, empty if the journal has nothing of it."""
        return self._servers.setdefault(name, ServerBoard())

    def state(self, message: str) -> State | None:
        """Where that message is; None if the journal does not know it."""
        return self._states.get(message)

    def apply(self, event: Event, *, now: int, read_at: float) -> tuple[Change, ...]:
        """Take in the next event, read at `now` (ms) and at `read_at` on the reader's own clock (s).

        Returns the messages whose state it changed.
        """
        match event:
            case BackMessage():
                changes = self._accepted(event, now)
            case DeployTaken():
                changes = self._taken(event, read_at)
            case DeployEnded():
                changes = self._ended(event)
            case DeployInterrupted():
                changes = self._interrupted(event)
            case MessagesParked():
                changes = self._parked(event)
            case TurnGivenBack():
                self.server(event.server).ended_turns = frozenset({event.message})
                changes = []
            case _:
                changes = []
        for change in changes:
            self._states[change.message] = change.state
        return tuple(changes)

    def _accepted(self, message: BackMessage, now: int) -> list[Change]:
        if message.id in self._states:
            return []
        entry = Waiting(message, min(message.queued_at, now))
        self.server(message.server).open[message.id] = entry
        return [Change(message.id, State.WAITING)]

    def _taken(self, taken: DeployTaken, read_at: float) -> list[Change]:
        """Granted if no granted taking of the server is unfinished and at least one of its messages still waits."""
        server = self.server(taken.server)
        entries = [entry for m in dict.fromkeys(taken.messages) if (entry := server.open.get(m))]
        if server.running or not entries:
            return []
        for entry in entries:
            entry.deploying = True
        server.running = Taking(taken, tuple(entry.message for entry in entries), read_at)
        server.fence = max(server.fence, taken.fence)
        return [Change(entry.message.id, State.DEPLOYING, taken.deploy) for entry in entries]

    def _ended(self, ended: DeployEnded) -> list[Change]:
        server = self.server(ended.server)
        if not self._finishes(server, ended):
            return []
        stands = State.DEPLOYED if ended.outcome is Outcome.PASSED else State.FAILED
        states = {message.id: stands for message in ended.standing} | dict.fromkeys(ended.superseded, State.SUPERSEDED)
        if server.parked and server.parked.deploy == ended.deploy and stands is State.FAILED:
            states |= dict.fromkeys(server.parked.messages, State.PARKED)
        covered = [m for m, entry in server.open.items() if entry.deploying and m in states]
        for m in covered:
            del server.open[m]
        return [*(Change(m, states[m], ended.deploy) for m in covered), *self._wait_again(server)]

    def _parked(self, parked: MessagesParked) -> list[Change]:
        server = self.server(parked.server)
        if server.running and server.running.event.deploy == parked.deploy:
            server.parked = parked
        failed = [m for m in parked.messages if self._states.get(m) is State.FAILED]
        return [Change(m, State.PARKED, parked.deploy) for m in failed]

    def _interrupted(self, interrupted: DeployInterrupted) -> list[Change]:
        server = self.server(interrupted.server)
        return self._wait_again(server) if self._finishes(server, interrupted) else []

    @staticmethod
    def _wait_again(server: ServerBoard) -> list[Change]:
        """What a deploy took and no result settled."""
        again = [entry for entry in server.open.values() if entry.deploying]
        for entry in again:
            entry.deploying = False
        return [Change(entry.message.id, State.WAITING) for entry in again]

    @staticmethod
    def _finishes(server: ServerBoard, end: DeployEnded | DeployInterrupted) -> bool:
        """A granted taking ends with the first of its result or its interruption; anything later changes nothing."""
        taking = server.running
        if taking is None or taking.event.deploy != end.deploy:
            return False
        server.running, server.last = None, end
        server.ended_turns = frozenset(message.id for message in taking.batch)
        return True
