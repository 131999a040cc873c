"""What a run leaves behind: its history, the journal folded again, the queues, and the ledger."""

from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field

from crashes.clocks import BEGAN
from crashes.fleet import decode, is_held
from crashes.history import Entry, History
from crashes.orders import OrdersSeen
from crashes.plan import Plan
from crashes.settings import CAP, QUIET, RETRIES_TOGETHER
from usher.broker.topology import JOURNAL, RESULTS, server_queue
from usher.core.board.board import Board
from usher.core.checkpoints import is_checkpoint
from usher.core.errors import Unreadable
from usher.core.events import DeployEnded, DeployInterrupted, DeployTaken, Event, MessagesRetried, Outcome
from usher.core.messages import BackMessage
from usher.core.orders import OrderDone
from usher.core.states import SETTLED, State

NEVER = 2**53
"""A time (ms) that no clock shows."""


@dataclass(slots=True)
class Ran:
    """A command that ran."""

    server: str
    deploy: str
    by: str
    issues: list[str]
    started_at: float
    ended_at: float | None = None
    code: int | None = None
    refuses: bool = False

    @property
    def until(self) -> float:
        """When it had ended (s); infinity if it never did."""
        return float("inf") if self.ended_at is None else self.ended_at

    @property
    def passed(self) -> bool:
        """Whether it exited with code 0."""
        return self.code == 0


@dataclass(frozen=True, slots=True)
class Granted:
    """A granted taking: when it was written, and when the window had closed and the server was free (s)."""

    deploy: str
    server: str
    at: float
    due_at: float


@dataclass(slots=True)
class Evidence:
    """Everything that the checker looks at.

    `left` are the ids of the messages in each queue, and `ledger` are the states of messages in the ledger. `lost` are
    the bodies that the journal lost. `operator` is what a person did to queues.
    """

    plan: Plan
    history: History
    ended_at: float
    settled: bool
    unrest: str
    faults: list[str]
    left: dict[str, list[str]]
    ledger: dict[str, str]
    unended: list[str]
    journal: list[tuple[str, bytes]]
    lost: list[tuple[float, bytes]]
    taken_out: set[str]
    operator: set[str]
    kept: dict[str, float]
    arrivals: list[tuple[float, str, str]]
    commands: list[Ran] = field(default_factory=list)
    board: Board = field(default_factory=Board)
    granted: dict[str, list[str]] = field(default_factory=dict)
    finished: dict[str, float] = field(default_factory=dict)
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    nexts: dict[str, set[str]] = field(default_factory=dict)
    known: set[str] = field(default_factory=set)
    received: set[str] = field(default_factory=set)
    of_issue: dict[tuple[str, str], set[str]] = field(default_factory=dict)
    parked: list[str] = field(default_factory=list)
    passed_messages: set[str] = field(default_factory=set)
    lost_messages: set[str] = field(default_factory=set)
    lost_deploys: set[str] = field(default_factory=set)
    asked_at: dict[str, float] = field(default_factory=dict)
    jira_moves: set[object] = field(default_factory=set)
    takings: list[Granted] = field(default_factory=list)
    unsettled_acks: list[Entry] = field(default_factory=list)
    of_held: set[str] = field(default_factory=set)
    orders: OrdersSeen = field(default_factory=OrdersSeen)
    results: dict[str, tuple[float, float]] = field(default_factory=dict)
    _acked: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.known = set(self.ledger)
        self.jira_moves = {number for number, move in enumerate(self.plan.moves) if move.form == "jira"}
        self._read_history()
        self._read_journal()
        for name in self.board:
            self.parked += [failed.message.id for failed in self.board.server(name).parked]
        for _, body in self.lost:
            if not is_checkpoint(body):
                self._note_lost(decode(body))

    def of(self, server: str) -> Iterator[Ran]:
        """The commands of that server."""
        return (ran for ran in self.commands if ran.server == server)

    def accepted(self) -> Iterator[Entry]:
        """Each accepted message, once."""
        seen: set[object] = set()
        for entry in self.history.of("accepted"):
            if entry["message"] not in seen:
                seen.add(entry["message"])
                yield entry

    def ends_of(self, message: str) -> set[State | None]:
        """The terminal states of that message, or of its next attempts if it was retried."""
        ends: set[State | None] = set()
        todo, seen = [message], set()
        while todo:
            one = todo.pop()
            if one in seen:
                continue
            seen.add(one)
            state = self.board.state(one)
            following = self.nexts.get(one, set()) & self.known
            if state is State.RETRIED and following:
                todo += following
            else:
                ends.add(state)
        return ends

    def given_up(self, message: str, server: str, issue: str) -> bool:
        """Whether a message that superseded it, or its next attempt, is parked or withdrawn."""
        if self.board.state(message) is State.DEPLOYED:
            return False
        states = {self.board.state(other) for other in self.of_issue.get((server, issue), ())}
        return bool(states & {State.PARKED, State.WITHDRAWN})

    def words(self, states: Iterable[State | None]) -> str:
        """The states in words, joined by `and`."""
        return " and ".join(sorted(str(state) if state else "unknown" for state in states))

    def kept_by(self, message: str, entry: Entry) -> bool:
        """Whether the broker had the message in a queue at the time of that entry."""
        return self.kept.get(message, float("inf")) <= entry.at

    def lost_after(self, at: float) -> bool:
        """Whether the journal lost anything at or after that time (s)."""
        return any(lost_at >= at for lost_at, _ in self.lost)

    def ordered(self, server: str, issue: str) -> bool:
        """Whether an order to withdraw or drop that issue was given."""
        orders = self.history.of("order asked")
        return any(o["what"] in ("withdraw", "drop") and o["server"] == server and o["issue"] == issue for o in orders)

    def _read_journal(self) -> None:
        written: dict[str, float] = {}
        for entry in self.history.of("asked deploy.interrupted", "asked deploy.ended"):
            if entry["to"] == "usher.facts":
                written.setdefault(str(entry["id"]), entry.at)
        arrived = {message: at for at, queue, message in reversed(self.arrivals) if queue == JOURNAL}
        acks = deque(self.history.of("acked", "acked order"))
        for message_id, body in self.journal:
            while acks and acks[0].at < arrived[message_id]:
                self._check_ack(acks.popleft())
            if not is_checkpoint(body):
                with suppress(Unreadable):  # somebody may have written a poisoned entry
                    self._read(decode(body), arrived[message_id], written.get(message_id))
        for ack in acks:
            self._check_ack(ack)

    def _read(self, event: Event, at: float, written_at: float | None) -> None:
        due_at = self._due_at(event)
        if isinstance(event, DeployTaken) and is_held(self.board, event.server):
            self.of_held.add(event.deploy)
        self._fold(event, written_at)
        if isinstance(event, DeployTaken) and event.deploy in self.granted:
            self.takings.append(Granted(event.deploy, event.server, at, due_at))
        if isinstance(event, DeployEnded):
            self.results.setdefault(event.deploy, (self._result_at(event.deploy), at))

    def _due_at(self, event: Event) -> float:
        """When the waiting messages of a taking's server could be taken (s)."""
        if not isinstance(event, DeployTaken) or not (server := self.board.server(event.server)).waiting:
            return 0.0
        waiting = [entry for entry in server.open.values() if not entry.deploying]
        retries = [entry.arrived_at for entry in waiting if entry.message.attempt > 1 or entry.message.postponed]
        moves = [entry.arrived_at for entry in waiting if entry.message.attempt == 1 and not entry.message.postponed]
        closing = [min(max(moves) + QUIET, min(moves) + CAP)] if moves else []
        closes_at = (min([*closing, *(at + RETRIES_TOGETHER for at in retries)]) - BEGAN) / 1000
        ended = (ran.until for ran in self.of(event.server) if ran.deploy in self.finished)
        return max([closes_at, *ended])

    def _check_ack(self, ack: Entry) -> None:
        """Check that an acked message is settled, or that its queue has another copy. An acked order must be done."""
        if ack.what == "acked order":
            self.orders.acked(ack, self.arrivals, lost=self.lost_after(ack.at))
            return
        message = str(ack["id"])
        self._acked[message] = self._acked.get(message, 0) + 1
        if self.lost or self.board.state(message) in SETTLED:
            return
        copies = sum(m == message and at <= ack.at for at, q, m in self.arrivals if q.startswith(server_queue("")))
        if copies - self._acked[message] < 1:
            self.unsettled_acks.append(ack)

    def _result_at(self, deploy: str) -> float:
        """When the result of that deploy arrived in the reply queue (s); infinity if it did not."""
        return min((at for at, queue, m in self.arrivals if queue == RESULTS and m == deploy), default=float("inf"))

    def _read_history(self) -> None:
        running: dict[str, Ran] = {}
        for entry in self.history.entries:
            if entry.what == "command.started":
                ran = Ran(
                    str(entry["server"]), str(entry["deploy"]), str(entry["by"]), str(entry["issues"]).split(), entry.at
                )
                ran.refuses = "refuses" in str(entry["does"])
                running[ran.deploy] = ran
                self.commands.append(ran)
            elif entry.what == "command.ended":
                ran = running[str(entry["deploy"])]
                ran.ended_at, ran.code = entry.at, int(str(entry["code"]))
            elif entry.what == "asked deploy.ended":
                self.passed_messages.update(str(entry["passed"]).split())
            elif entry.what == "asked message":
                self.asked_at.setdefault(str(entry["id"]), entry.at)

    def _fold(self, event: Event, written_at: float | None) -> None:
        running = {name: self.board.server(name).running for name in self.board}
        changes = self.orders.fold(event, self.board, lambda: self.board.apply(event, now=NEVER, read_at=0))
        self.known.update(change.message for change in changes)
        match event:
            case BackMessage():
                self.known.add(event.id)
                self.received.add(event.id)
                self.of_issue.setdefault((event.server, str(event.issue)), set()).add(event.id)
            case DeployTaken() if changes:
                self.granted[event.deploy] = [change.message for change in changes]
            case MessagesRetried():
                for retry in event.retries:
                    self.nexts.setdefault(retry.failed, set()).add(retry.next.id)
                    of_issue = self.of_issue.setdefault((event.server, str(retry.next.issue)), set())
                    of_issue.add(retry.next.id)
            case DeployEnded() | DeployInterrupted():
                taking = running.get(event.server)
                if taking and taking.event.deploy == event.deploy and written_at is not None:
                    self.finished[event.deploy] = written_at
                if isinstance(event, DeployEnded):
                    self.outcomes[event.deploy] = event.outcome
                    if event.outcome is Outcome.PASSED:
                        self.passed_messages.update((*(m.id for m in event.standing), *event.superseded))
            case _:
                pass

    def _note_lost(self, event: Event) -> None:
        match event:
            case BackMessage():
                self.lost_messages.add(event.id)
            case OrderDone():
                self.orders.lost.add(event.order)
            case DeployTaken() | DeployEnded() | DeployInterrupted():
                self.lost_deploys.add(event.deploy)
                if isinstance(event, DeployEnded) and event.outcome is Outcome.PASSED:
                    self.passed_messages.update((*(m.id for m in event.standing), *event.superseded))
            case _:
                pass
