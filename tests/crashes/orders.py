"""Collects what a run shows about orders: their place in the journal, what they changed, and when they were acked."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from crashes.history import Entry
from usher.broker.topology import ORDERS
from usher.core.board.board import Board
from usher.core.events import DeployTaken, Event, MessagesRetried, MessagesWithdrawn
from usher.core.messages import BackMessage
from usher.core.orders import DropOrder, HoldExpired, HoldOrder, OrderDone, ReleaseOrder, RetryOrder, WithdrawOrder
from usher.core.scopes import EVERYTHING
from usher.core.states import Change, State


@dataclass(slots=True)
class OrdersSeen:
    """Collected while the journal is folded.

    `wrong` are violations, as sentences. `early` are orders that were acked too early, and when (s). `lost` are orders
    whose `order.done` the journal lost.
    """

    wrong: list[str] = field(default_factory=list)
    early: dict[str, float] = field(default_factory=dict)
    lost: set[str] = field(default_factory=set)
    done: set[str] = field(default_factory=set)
    _board: Board | None = None
    _place: int = 0
    _given_at: dict[str, int] = field(default_factory=dict)
    _moves: dict[str, str] = field(default_factory=dict)
    _first_at: dict[str, int] = field(default_factory=dict)
    _retried: set[tuple[str, str]] = field(default_factory=set)
    _acked: dict[str, int] = field(default_factory=dict)
    _standing: dict[str, HoldOrder] = field(default_factory=dict)
    _held: set[str] = field(default_factory=set)

    def fold(self, event: Event, board: Board, apply: Callable[[], tuple[Change, ...]]) -> tuple[Change, ...]:
        """Apply the next event of the journal with `apply`, and check it. Returns the changes of state."""
        self._board, self._place = board, self._place + 1
        match event:
            case BackMessage():
                self._name(event)
            case MessagesRetried():
                for retry in event.retries:
                    self._name(retry.next)
            case WithdrawOrder() | RetryOrder() | DropOrder():
                self._given_at.setdefault(event.id, self._place)
            case OrderDone():
                self._check_queued(event)
        changes = apply()
        self._follow_holds(event)
        match event:
            case DeployTaken() if changes:
                self._check_not_held(event)
            case MessagesWithdrawn(order=str(order)):
                self._check_older(order, (c.message for c in changes if c.state is State.WITHDRAWN))
            case MessagesRetried(order=str(order)):
                granted = [c.message for c in changes if c.state is State.RETRYING]
                self._check_older(order, granted)
                for message in granted:
                    self._check_once(order, message)
        return changes

    def acked(self, ack: Entry, arrivals: Sequence[tuple[float, str, str]], *, lost: bool) -> None:
        """Check an ack: the order must be done, or its queue must have another copy.

        It surely has one if the process holds another. Else the acks so far are counted. This counts acks that were
        lost with their session as well.
        """
        order = str(ack["id"])
        self._acked[order] = self._acked.get(order, 0) + 1
        copies = sum(m == order and queue == ORDERS and at <= ack.at for at, queue, m in arrivals)
        kept = bool(ack["others"]) or copies - self._acked[order] >= 1
        if not (lost or order in self.done or kept):
            self.early[order] = ack.at

    def _follow_holds(self, event: Event) -> None:
        """Keep the standing holds independently of the board."""
        ended: tuple[str, ...] = ()
        match event:
            case HoldOrder() if event.id not in self._held:
                self._held.add(event.id)
                self._standing[event.id] = event
            case ReleaseOrder():
                ended = event.holds
            case HoldExpired() if event.hold in self._standing and event.at >= (self._standing[event.hold].until or 0):
                ended = (event.hold,)
        for hold in ended:
            self._standing.pop(hold, None)
            self.done.add(hold)

    def _check_not_held(self, taken: DeployTaken) -> None:
        status, project = taken.server.split(".")[:2]
        for hold in self._standing.values():
            if hold.scope in (EVERYTHING, f"{status}.{project}"):
                self.wrong.append(f"deploy {taken.deploy} was granted although {taken.server} is held by {hold.id}")

    def _name(self, message: BackMessage) -> None:
        self._moves[message.id] = message.move
        self._first_at.setdefault(message.move, self._place)

    def _check_older(self, order: str, messages: Iterable[str]) -> None:
        given_at = self._given_at.get(order, 0)
        for message in messages:
            if given_at and self._first_at.get(self._moves.get(message, message), 0) > given_at:
                self.wrong.append(f"order {order} changed {message}, which is newer than the order")

    def _check_once(self, order: str, message: str) -> None:
        once = (order, self._moves.get(message, message))
        if once in self._retried:
            self.wrong.append(f"order {order} retried the move of {message} twice")
        self._retried.add(once)

    def _check_queued(self, done: OrderDone) -> None:
        assert self._board
        self.done.add(done.order)
        entry = self._board.orders.get(done.order)
        if entry and entry.done_at is None and isinstance(entry.order, RetryOrder):
            for message in entry.changed:
                if self._board.state(message) is State.RETRYING:
                    self.wrong.append(f"order {done.order} is done, but its next attempt {message} is not published")
