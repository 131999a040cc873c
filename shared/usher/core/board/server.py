"""The board of one server: open, running and failed messages, and how each event changes them."""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field, replace

from usher.core.board.entries import Ended, Failed, Taking, Unsettled, Waiting
from usher.core.board.pending import Pending
from usher.core.events import (
    DeployEnded,
    DeployInterrupted,
    DeployStuck,
    DeployTaken,
    MessagesParked,
    MessagesRetried,
    MessagesWithdrawn,
    Outcome,
    Retry,
    TakeoverWaited,
    TurnGivenBack,
)
from usher.core.messages import BackMessage
from usher.core.states import Change, State
from usher.core.versions import STORED


@dataclass
class ServerBoard:
    """One server. The methods that apply an event return the changes of state."""

    __pydantic_config__ = STORED

    open: dict[str, Waiting] = field(default_factory=dict)
    failed: dict[str, Failed] = field(default_factory=dict)
    retrying: dict[str, BackMessage] = field(default_factory=dict)
    running: Taking | None = None
    last: Ended | None = None
    fence: int = 0
    ended_turns: dict[str, int | None] = field(default_factory=dict)
    """The message whose turn ended cleanly, with its delivery count at that time. Its next delivery needs no take-over
    wait. Later ones do: another process may have held the message, and the journal may have lost what it wrote."""
    wait_left: int = 0
    """The remainder of the take-over wait when that turn ended (ms)."""
    given_back: dict[str, int] = field(default_factory=dict)
    """The last message whose turn was given back, and how often that has happened. Its queue counts these returns."""
    stuck: dict[str, DeployStuck] = field(default_factory=dict)
    """The deploys whose commands cannot be killed, by id. While there is one, no taking is granted."""
    waited: TakeoverWaited | None = None
    """The take-over wait that the holder keeps, until something else happens to its turn. It is only shown."""
    early: list[MessagesParked | MessagesRetried] = field(default_factory=list)
    """Decisions about the running deploy that were read before its result. The reply queue can be faster than the
    journal."""

    def __post_init__(self) -> None:
        # not stored: it is computed again when it is needed after a message stopped waiting
        self._pending: Pending | None = None

    @property
    def pending(self) -> Pending:
        """What the window needs to know about the waiting messages."""
        if self._pending is None:
            self._pending = Pending.of(self.open.values())
        return self._pending

    @property
    def waiting(self) -> tuple[BackMessage, ...]:
        """The waiting messages that no running deploy covers, in the order of arrival."""
        return tuple(entry.message for entry in self.open.values() if not entry.deploying)

    @property
    def oldest(self) -> BackMessage | None:
        """The first of the waiting messages."""
        return next((entry.message for entry in self.open.values() if not entry.deploying), None)

    @property
    def undecided(self) -> tuple[Failed, ...]:
        """The failed messages that are neither retried nor parked yet."""
        return tuple(entry for entry in self.failed.values() if not entry.parked)

    @property
    def parked(self) -> tuple[Failed, ...]:
        """The parked messages. A person, or a later pass, decides what happens to them."""
        return tuple(entry for entry in self.failed.values() if entry.parked)

    def messages(self) -> Iterator[Unsettled]:
        """Every message that the server still tracks: open, then failed or parked, then retrying ones."""
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
        """Note that it was restored from a checkpoint, at `read_at` on the reader's monotonic clock (s).

        The running deploy counts as read at that time. Versions before 0.11 wrote None for the count of some messages,
        to waive every later wait of theirs. It waives none.
        """
        self.ended_turns = {m: count for m, count in self.ended_turns.items() if count is not None}
        if self.running:
            self.running = replace(self.running, read_at=read_at)

    def accept(self, message: BackMessage, now: int) -> list[Change]:
        """Apply a new message, or a retry that has returned from its delay."""
        self.retrying.pop(message.id, None)
        self.open[message.id] = entry = Waiting(message, min(message.queued_at, now))
        if self._pending is not None:
            self._pending.add(entry)
        return [Change(message.id, State.WAITING)]

    def take(self, taken: DeployTaken, read_at: float) -> list[Change]:
        """Apply a taking. It is granted if no granted taking is unfinished, no command of the server is stuck, and at
        least one of its messages is open.

        A fence that no `deploys` would write is refused: the next one must be larger, and would be out of range.
        """
        entries = self._open(taken)
        if self.running or self.stuck or not entries or taken.fence > max(self.fence + 1, taken.taken_at):
            return []
        self.waited = self._pending = None
        for entry in entries:
            entry.deploying = True
        self.running = Taking(taken, tuple(entry.message for entry in entries), read_at)
        self.fence = max(self.fence, taken.fence)
        return [Change(entry.message.id, State.DEPLOYING, taken.deploy) for entry in entries]

    def named(self, taken: DeployTaken) -> tuple[BackMessage, ...]:
        """The open messages that a taking names."""
        return tuple(entry.message for entry in self._open(taken))

    def _open(self, taken: DeployTaken) -> list[Waiting]:
        return [entry for m in dict.fromkeys(taken.messages) if (entry := self.open.get(m))]

    def end(self, ended: DeployEnded) -> list[Change]:
        """Apply the result of the running deploy. The result of any other deploy changes nothing."""
        self.stuck.pop(ended.deploy, None)
        if not self._finishes(ended):
            return []
        # a message that a result names twice is standing, and counts once
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
        """Apply the interruption of the running deploy: its messages wait again.

        A deploy that is stuck is interrupted only when its command is gone.
        """
        if interrupted.gone:
            self.stuck.pop(interrupted.deploy, None)
        if interrupted.deploy in self.stuck:
            return []
        return self._wait_again() if self._finishes(interrupted) else []

    def stick(self, stuck: DeployStuck) -> None:
        """Apply that a command cannot be killed. It counts even if another holder has ended the deploy already."""
        self.stuck[stuck.deploy] = stuck

    def give_back(self, given_back: TurnGivenBack) -> None:
        """Apply the clean end of a turn."""
        self.ended_turns, self.wait_left = _over(given_back.message, given_back.delivery_count), given_back.wait_left
        self.given_back = {given_back.message: self.given_back.get(given_back.message, 0) + 1}
        self.waited = None

    def is_over(self, message: str, delivery_count: int) -> bool:
        """Whether the turn before the delivery of that message with count `delivery_count` ended cleanly.

        It is also over if a result has ended the turn of this delivery: its holder has waited before.
        """
        return self.ended_turns.get(message) in (delivery_count - 1, delivery_count)

    def park(self, parked: MessagesParked) -> list[Change]:
        """Park failed messages."""
        entries = [(m, entry) for m in dict.fromkeys(parked.messages) if (entry := self.failed.get(m))]
        entries = [(m, entry) for m, entry in entries if not entry.parked]
        for m, entry in entries:
            self.failed[m] = replace(entry, parked=True)
        return [Change(m, State.PARKED, parked.deploy) for m, _ in entries]

    def retry(self, retry: Retry, deploy: str | None) -> list[Change]:
        """Retry a message that failed or is parked, or replace a retry that is not due yet."""
        if retry.failed in self.failed:
            del self.failed[retry.failed]
        elif retry.failed in self.retrying:
            del self.retrying[retry.failed]
        else:
            return []
        self.retrying[retry.next.id] = retry.next
        return [Change(retry.failed, State.RETRIED, deploy), Change(retry.next.id, State.RETRYING, deploy)]

    def retried(self, retry: Retry, deploy: str | None) -> list[Change]:
        """Settle a failed message whose next attempt was already on the board when the decision was read."""
        return [Change(retry.failed, State.RETRIED, deploy)] if self.failed.pop(retry.failed, None) else []

    def withdraw(self, withdrawn: MessagesWithdrawn) -> list[Change]:
        """Withdraw waiting, retrying, failed and parked messages. A message that is being deployed is only marked."""
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
        """For each issue that passed, settle its older messages that failed, are parked, or are being retried."""
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
        """Drop the messages that this server no longer tracks."""
        self._pending = None
        for change in changes:
            self.open.pop(change.message, None)
            self.retrying.pop(change.message, None)
            if change.state is not State.FAILED:
                self.failed.pop(change.message, None)

    def _wait_again(self) -> list[Change]:
        """Reset the deploying messages to waiting, or to withdrawn if they were withdrawn meanwhile."""
        again = [entry for entry in self.open.values() if entry.deploying]
        self._pending = None
        changes = []
        for entry in again:
            entry.deploying = False
            state = State.WITHDRAWN if entry.withdrawn else State.WAITING
            changes.append(Change(entry.message.id, state))
        self._close(change for change in changes if change.state is State.WITHDRAWN)
        return changes

    def _finishes(self, end: DeployEnded | DeployInterrupted) -> bool:
        """Whether this ends the running deploy. The first result or interruption does; later ones change nothing."""
        taking = self.running
        if taking is None or taking.event.deploy != end.deploy:
            return False
        self.running, self.last, self.early, self.waited = None, Ended.of(end), [], None
        # without `held` the turn goes on, and its holder may start another command
        self.ended_turns, self.wait_left = _over(end.held, end.delivery_count), 0
        return True


def _over(held: str | None, delivery_count: int | None) -> dict[str, int | None]:
    return {} if held is None or delivery_count is None else {held: delivery_count}
