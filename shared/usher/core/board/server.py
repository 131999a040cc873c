"""One server's part of the board: what waits, what runs, what failed, and how each event changes it."""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field, replace

from usher.core.board.entries import Ended, Failed, Taking, Unsettled, Waiting
from usher.core.events import (
    DeployEnded,
    DeployInterrupted,
    DeployTaken,
    MessagesParked,
    MessagesRetried,
    MessagesWithdrawn,
    Outcome,
    Retry,
    TurnGivenBack,
)
from usher.core.messages import BackMessage
from usher.core.states import Change, State


@dataclass(slots=True)
class ServerBoard:
    """One server. Every method takes an event and returns the messages whose state it changed."""

    open: dict[str, Waiting] = field(default_factory=dict)
    failed: dict[str, Failed] = field(default_factory=dict)
    retrying: dict[str, BackMessage] = field(default_factory=dict)
    running: Taking | None = None
    last: Ended | None = None
    fence: int = 0
    ended_turns: dict[str, int | None] = field(default_factory=dict)
    """With which message the last turn was had that ended in order, and how often it had come back by then: who gets it
    next need not wait. With None, whoever gets it: a result has covered it."""
    owed: int = 0
    """Of the take-over wait, what that turn had still to keep (ms)."""
    early: list[MessagesParked | MessagesRetried] = field(default_factory=list)
    """Decisions about the running deploy from before its result: the reply queue is faster than the journal's copy."""

    @property
    def waiting(self) -> tuple[BackMessage, ...]:
        """What waits and no unfinished deploy covers, in the order in which it came."""
        return tuple(entry.message for entry in self.open.values() if not entry.deploying)

    @property
    def arrivals(self) -> tuple[int, ...]:
        """When what waits arrived (ms): the window's clock."""
        return tuple(entry.arrived_at for entry in self.open.values() if not entry.deploying)

    @property
    def undecided(self) -> tuple[Failed, ...]:
        """What has failed and is neither retried nor parked yet."""
        return tuple(entry for entry in self.failed.values() if not entry.parked)

    @property
    def parked(self) -> tuple[Failed, ...]:
        """What is given up until a person, or a later pass, decides."""
        return tuple(entry for entry in self.failed.values() if entry.parked)

    def messages(self) -> Iterator[Unsettled]:
        """Every message of the server that is not settled: what is open, then what failed, then what is retried."""
        deploy = self.running.event.deploy if self.running else None
        for entry in self.open.values():
            if entry.deploying:
                yield Unsettled(entry.message, State.DEPLOYING, deploy)
            else:
                yield Unsettled(entry.message, State.WAITING)
        for failed in self.failed.values():
            yield Unsettled(failed.message, State.PARKED if failed.parked else State.FAILED, failed.deploy)
        for message in self.retrying.values():
            yield Unsettled(message, State.RETRYING)

    def read_again(self, read_at: float) -> None:
        """It comes from a checkpoint, read at `read_at` on the reader's own clock (s): so does the running deploy."""
        if self.running:
            self.running = replace(self.running, read_at=read_at)

    def accept(self, message: BackMessage, now: int) -> list[Change]:
        """A message that is new, or a retry that has come back."""
        self.retrying.pop(message.id, None)
        self.open[message.id] = Waiting(message, min(message.queued_at, now))
        return [Change(message.id, State.WAITING)]

    def take(self, taken: DeployTaken, read_at: float) -> list[Change]:
        """Granted if no granted taking is unfinished and at least one of its messages still waits."""
        entries = [entry for m in dict.fromkeys(taken.messages) if (entry := self.open.get(m))]
        if self.running or not entries:
            return []
        for entry in entries:
            entry.deploying = True
        self.running = Taking(taken, tuple(entry.message for entry in entries), read_at)
        self.fence = max(self.fence, taken.fence)
        return [Change(entry.message.id, State.DEPLOYING, taken.deploy) for entry in entries]

    def end(self, ended: DeployEnded) -> list[Change]:
        """The result of the running deploy; of any other it changes nothing."""
        if not self._finishes(ended):
            return []
        # what a result names twice stands, and counts once
        standing = {message.id: message for message in ended.standing if self._covers(message.id)}
        stood = list(standing.values())
        older = [m for m in dict.fromkeys(ended.superseded) if self._covers(m) and m not in standing]
        superseded = [Change(m, State.SUPERSEDED, ended.deploy) for m in older]
        if ended.outcome is Outcome.PASSED:
            changes = [Change(message.id, State.DEPLOYED, ended.deploy) for message in stood]
            self._close([*superseded, *changes])
            changes += self._clean(stood, ended.deploy)
        else:
            changes = [self._fail(message, ended) for message in stood]
            self._close([*superseded, *changes])
        return [*superseded, *changes, *self._wait_again()]

    def interrupt(self, interrupted: DeployInterrupted) -> list[Change]:
        """The running deploy has no result: what it took waits again."""
        return self._wait_again() if self._finishes(interrupted) else []

    def give_back(self, given_back: TurnGivenBack) -> None:
        """A turn has ended in order."""
        self.ended_turns, self.owed = _over(given_back.message, given_back.returns), given_back.owes

    def is_over(self, message: str, returns: int) -> bool:
        """Whether the turn had with that message, before it came back for the so manieth time, has ended in order."""
        return message in self.ended_turns and self.ended_turns[message] in (None, returns - 1)

    def park(self, parked: MessagesParked) -> list[Change]:
        """What failed is given up."""
        entries = [(m, entry) for m in dict.fromkeys(parked.messages) if (entry := self.failed.get(m))]
        entries = [(m, entry) for m, entry in entries if not entry.parked]
        for m, entry in entries:
            self.failed[m] = replace(entry, parked=True)
        return [Change(m, State.PARKED, parked.deploy) for m, _ in entries]

    def retry(self, retry: Retry, deploy: str | None) -> list[Change]:
        """What failed or is parked is tried again; what is to be tried again later is tried at once."""
        if retry.failed in self.failed:
            del self.failed[retry.failed]
        elif retry.failed in self.retrying:
            del self.retrying[retry.failed]
        else:
            return []
        self.retrying[retry.next.id] = retry.next
        return [Change(retry.failed, State.RETRIED, deploy), Change(retry.next.id, State.RETRYING, deploy)]

    def retried(self, retry: Retry, deploy: str | None) -> list[Change]:
        """What failed has been tried again, and its next attempt told, before this was decided or read."""
        return [Change(retry.failed, State.RETRIED, deploy)] if self.failed.pop(retry.failed, None) else []

    def withdraw(self, withdrawn: MessagesWithdrawn) -> list[Change]:
        """Out of what waits, is to be retried, or is parked; never out of what runs."""
        changes = []
        for m in dict.fromkeys(withdrawn.messages):
            entry = self.open.get(m)
            if entry and entry.deploying:
                entry.withdrawn = True
            elif entry or m in self.retrying or m in self.failed:
                changes.append(Change(m, State.WITHDRAWN))
        self._close(changes)
        return changes

    def _covers(self, message: str) -> bool:
        entry = self.open.get(message)
        return entry is not None and entry.deploying

    def _fail(self, message: BackMessage, ended: DeployEnded) -> Change:
        if self.open[message.id].withdrawn:
            return Change(message.id, State.WITHDRAWN, ended.deploy)
        self.failed[message.id] = Failed(message, ended.deploy, ended.outcome, ended.exit_code, ended.reason)
        return Change(message.id, State.FAILED, ended.deploy)

    def _clean(self, passed: Collection[BackMessage], deploy: str) -> list[Change]:
        """What passed settles every older attempt of its issue that failed, is parked, or is to be tried again."""
        newest = {message.issue: message.age for message in passed}

        def settled(messages: Iterable[BackMessage]) -> list[Change]:
            older = (m for m in messages if m.issue in newest and m.age < newest[m.issue])
            return [Change(m.id, State.SUPERSEDED, deploy) for m in older]

        returned = [entry.message for entry in self.open.values() if entry.message.origin and not entry.deploying]
        failed = [entry.message for entry in self.failed.values()]
        changes = settled([*failed, *self.retrying.values(), *returned])
        self._close(changes)
        return changes

    def _close(self, changes: Iterable[Change]) -> None:
        """Forget what has come into a state that is none of this server's to go on with."""
        for change in changes:
            self.open.pop(change.message, None)
            self.retrying.pop(change.message, None)
            if change.state is not State.FAILED:
                self.failed.pop(change.message, None)

    def _wait_again(self) -> list[Change]:
        """What a deploy took and no result settled, unless it was withdrawn meanwhile."""
        again = [entry for entry in self.open.values() if entry.deploying]
        changes = []
        for entry in again:
            entry.deploying = False
            state = State.WITHDRAWN if entry.withdrawn else State.WAITING
            changes.append(Change(entry.message.id, state))
        self._close(change for change in changes if change.state is State.WITHDRAWN)
        return changes

    def _finishes(self, end: DeployEnded | DeployInterrupted) -> bool:
        """A granted taking ends with the first of its result or its interruption; anything later changes nothing."""
        taking = self.running
        if taking is None or taking.event.deploy != end.deploy:
            return False
        self.running, self.last, self.early = None, Ended.of(end), []
        if isinstance(end, DeployEnded):
            self.ended_turns = dict.fromkeys(message.id for message in taking.batch)
        else:
            # within a turn it says nothing of its end: the next taking may be lost, and its command run
            self.ended_turns = _over(end.held, end.returns)
        self.owed = 0
        return True


def _over(held: str | None, returns: int | None) -> dict[str, int | None]:
    return {} if held is None or returns is None else {held: returns}
