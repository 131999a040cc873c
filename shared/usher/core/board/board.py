"""The board: the state of all servers, folded from the journal, event by event. Every reader gets the same board."""

from collections.abc import Iterable, Iterator
from itertools import islice

from usher.core.board.ordered import Ordered
from usher.core.board.orders import Orders
from usher.core.board.server import ServerBoard
from usher.core.events import (
    DeployEnded,
    DeployInterrupted,
    DeployStuck,
    DeployTaken,
    Event,
    MessagesParked,
    MessagesRetried,
    MessagesWithdrawn,
    Retry,
    TakeoverWaited,
    TurnGivenBack,
)
from usher.core.messages import BackMessage
from usher.core.orders import HoldExpired, Order, OrderDone
from usher.core.states import TERMINAL, Change, State

REMEMBERED = 100_000
"""How many messages in a terminal state are remembered, so that late deliveries of them are acked. The oldest are
forgotten."""

FORGOTTEN = 1000
"""How many more may accumulate before the oldest are forgotten together: finding the oldest one in a dict takes long if
older ones have just been deleted."""


class Board:
    """All servers. Only `apply` changes it, so the state of a message depends only on the events before."""

    def __init__(
        self,
        servers: dict[str, ServerBoard] | None = None,
        closed: dict[str, State] | None = None,
        received: dict[str, int] | None = None,
        orders: dict[str, Ordered] | None = None,
        left_out: Iterable[str] = (),
    ) -> None:
        """Create an empty board, or one from these parts.

        `closed` are the messages in a terminal state, oldest first. `received` are the times received, of messages that
        were received more than once. `orders` are the last orders, oldest first. `left_out` are the ids
        of completed orders that a checkpoint left out.
        """
        self.servers = servers or {}
        self.closed = closed or {}
        self.received = received or {}
        self.orders = Orders(orders, left_out)
        self._states = {m.message.id: m.state for server in self.servers.values() for m in server.messages()}

    def __iter__(self) -> Iterator[str]:
        return iter(self.servers)

    @property
    def needs(self) -> int:
        """The journal version that a reader of this board's checkpoint needs (`usher.core.versions`)."""
        stuck = (one.needs for server in self.servers.values() for one in server.stuck.values())
        return max((1, *stuck, *(entry.order.needs for entry in self.orders.entries.values() if not entry.done_at)))

    def server(self, name: str) -> ServerBoard:
        """The board of that server. It is empty if the journal has no entry about the server."""
        return self.servers.setdefault(name, ServerBoard())

    def state(self, message: str) -> State | None:
        """The state of that message; None if the journal does not know it."""
        return self._states.get(message) or self.closed.get(message)

    def apply(self, event: Event, *, now: int, read_at: float) -> tuple[Change, ...]:
        """Apply the next event, which was read at `now` (ms) and at `read_at` on the reader's monotonic clock (s).

        Returns the changes of state.
        """
        match event:
            case BackMessage():
                changes = self._noted(self._accepted(event, now))
            case DeployTaken():
                changes = self._taken(event, read_at)
            case DeployEnded():
                changes = self._ended(event)
            case DeployInterrupted():
                changes = self._interrupted(event)
            case MessagesParked() | MessagesRetried():
                changes = self._decided(event)
            case MessagesWithdrawn():
                changes = self._withdrawn(event)
            case TurnGivenBack():
                self.server(event.server).give_back(event)
                changes = []
            case DeployStuck():
                self.server(event.server).stick(event)
                changes = []
            case TakeoverWaited():
                self.server(event.server).waited = event
                changes = []
            case _:
                self._ordered(event)
                changes = []
        return tuple(changes)

    def _ordered(self, event: Event) -> None:
        """Apply an order, or its end. This changes no message by itself."""
        if isinstance(event, Order):
            self.orders.give(event, self.servers)
        elif isinstance(event, OrderDone):
            self.orders.finish(event)
        elif isinstance(event, HoldExpired):
            self.orders.expire(event)

    def _taken(self, taken: DeployTaken, read_at: float) -> list[Change]:
        """Apply a taking. It is not granted while a hold matches any of its messages."""
        server = self.server(taken.server)
        if self.orders.holds.stop(*{message.place for message in server.named(taken)}):
            return []
        return self._noted(server.take(taken, read_at))

    def _accepted(self, message: BackMessage, now: int) -> list[Change]:
        if self.state(message.id) in (None, State.RETRYING):
            return self.server(message.server).accept(message, now)
        self.received[message.id] = self.received.get(message.id, 1) + 1
        return []

    def _ended(self, ended: DeployEnded) -> list[Change]:
        """Apply a result, and then the decisions about it that were read before it."""
        server = self.server(ended.server)
        early = server.early
        changes = self._noted(server.end(ended))
        if server.running is None:
            changes += [change for decision in early for change in self._decided(decision)]
        return changes

    def _interrupted(self, interrupted: DeployInterrupted) -> list[Change]:
        """Apply an interruption. It voids earlier decisions about the deploy, and supersedes their next attempts."""
        server = self.server(interrupted.server)
        early = server.early
        changes = self._noted(server.interrupt(interrupted))
        if server.running is None:
            retries = [
                retry for decision in early if isinstance(decision, MessagesRetried) for retry in decision.retries
            ]
            unknown = dict.fromkeys(retry.next.id for retry in retries if self.state(retry.next.id) is None)
            changes += self._noted([Change(m, State.SUPERSEDED) for m in unknown])
        return changes

    def _withdrawn(self, withdrawn: MessagesWithdrawn) -> list[Change]:
        if not self.orders.counts(withdrawn):
            return []
        server = self.server(withdrawn.server)
        self.orders.withdrawing(withdrawn, server)
        return self._noted(server.withdraw(withdrawn))

    def _decided(self, decision: MessagesParked | MessagesRetried) -> list[Change]:
        server = self.server(decision.server)
        if server.running and server.running.event.deploy == decision.deploy:
            server.early.append(decision)
            return []
        if isinstance(decision, MessagesParked):
            return self._noted(server.park(decision))
        return self._retried(decision, server) if self.orders.counts(decision) else []

    def _retried(self, decision: MessagesRetried, server: ServerBoard) -> list[Change]:
        changes: list[Change] = []
        for retry in decision.retries:
            if self.state(retry.next.id) is None:
                changes += self._noted(server.retry(retry, decision.deploy) or self._unwanted(retry))
            else:
                changes += self._noted(server.retried(retry, decision.deploy))
        self.orders.retried(decision, changes)
        return changes

    def _unwanted(self, retry: Retry) -> list[Change]:
        """Settle the next attempt of a message that has been settled meanwhile. It may already be published."""
        state = self.closed.get(retry.failed)
        if state is None:
            return []
        return [Change(retry.next.id, state if state is State.WITHDRAWN else State.SUPERSEDED)]

    def _noted(self, changes: list[Change]) -> list[Change]:
        for change in changes:
            self._states.pop(change.message, None)
            if change.state not in TERMINAL:
                self._states[change.message] = change.state
                continue
            self.closed[change.message] = change.state
        if len(self.closed) > REMEMBERED + FORGOTTEN:
            for oldest in list(islice(self.closed, len(self.closed) - REMEMBERED)):
                del self.closed[oldest]
                self.received.pop(oldest, None)
        return changes
