"""Orders on the board: the last ones, each with what it changed, and whether it has been carried out."""

from collections.abc import Collection, Iterable, Mapping

from usher.core.board.entries import Unsettled
from usher.core.board.holds import Holds
from usher.core.board.ordered import Ordered, meant
from usher.core.board.server import ServerBoard
from usher.core.events import MessagesRetried, MessagesWithdrawn
from usher.core.messages import BackMessage
from usher.core.orders import (
    ChangedMessage,
    HoldExpired,
    HoldOrder,
    Order,
    OrderDone,
    OrderId,
    ReleaseOrder,
    RetryOrder,
    RunningMessage,
    WithdrawOrder,
)
from usher.core.scopes import Scope
from usher.core.states import Change, State

REMEMBERED = 10_000
"""How many orders are remembered, so that a repeated order changes nothing. The oldest completed ones are forgotten."""

DETAILS = 100_000
"""The maximum number of names that all completed orders hold together. The oldest orders beyond that are abridged."""


class Orders:
    """The last orders by id, oldest first. Each method that changes them applies one entry of the journal."""

    def __init__(self, entries: dict[str, Ordered] | None = None, left_out: Iterable[str] = ()) -> None:
        """Create them with these entries. `left_out` are the ids of completed orders that a checkpoint left out."""
        self.entries = entries or {}
        self.left_out = tuple(left_out)
        self.holds = Holds(e.order for e in self.entries.values() if e.stands and isinstance(e.order, HoldOrder))
        self._names = sum(entry.names for entry in self.entries.values() if entry.done_at is not None)

    def get(self, order: str | None) -> Ordered | None:
        """The order with that id; None if the journal does not know it, or if it has been forgotten."""
        return None if order is None else self.entries.get(order)

    def give(self, order: Order, servers: Mapping[str, ServerBoard]) -> None:
        """Add an order. A known order changes nothing."""
        if order.id in self.entries or order.id in self.left_out:
            return
        means = {name: tuple(_target(order, m) for m in meant(order, servers[name])) for name in _known(order, servers)}
        self.entries[order.id] = Ordered(order, {name: targets for name, targets in means.items() if targets})
        if isinstance(order, HoldOrder):
            self._hold(order, servers)
        elif isinstance(order, ReleaseOrder):
            self._release(order)
        if len(self.entries) > REMEMBERED:
            # never an unfinished order: the queue would deliver it as an unknown one, and it would be re-published
            done = (known for known, entry in self.entries.items() if entry.done_at is not None)
            if oldest := next(done, None):
                self._names -= self.entries.pop(oldest).names

    def _hold(self, hold: HoldOrder, servers: Mapping[str, ServerBoard]) -> None:
        """Begin a hold, and note which messages were already being deployed."""
        self.holds.begin(hold)
        scope = Scope.of(hold.scope)
        for taking in (server.running for server in servers.values() if server.running):
            for message in taking.batch:
                if scope.matches(message.place):
                    self.entries[hold.id].running[message.id] = _running(message, taking.event.deploy)

    def _release(self, release: ReleaseOrder) -> None:
        ended = [hold for hold in dict.fromkeys(release.holds) if self._end(hold, release.at, release.by)]
        self.entries[release.id].ended = tuple(ended)

    def expire(self, expired: HoldExpired) -> None:
        """End a hold whose `until` has passed."""
        hold = self.holds.get(expired.hold)
        if hold and hold.until is not None and expired.at >= hold.until:
            self._end(hold.id, expired.at)

    def _end(self, hold: OrderId, at: int, by: str | None = None) -> bool:
        if not self.holds.end(hold):
            return False
        entry = self.entries[hold]
        entry.done_at, entry.ended_by = at, by
        self._settle(entry)
        return True

    def counts(self, fact: MessagesWithdrawn | MessagesRetried) -> bool:
        """Whether that fact may change anything. A fact of an order that is already done may not."""
        entry = self.get(fact.order)
        return entry is None or entry.done_at is None

    def withdrawing(self, fact: MessagesWithdrawn, server: ServerBoard) -> None:
        """Note the messages that an order withdraws. Call this before the change is applied to `server`."""
        if entry := self.get(fact.order):
            for known in _of(fact.messages, server):
                message = known.message
                if known.state is State.DEPLOYING:
                    entry.running[message.id] = _running(message, str(known.deploy))
                else:
                    entry.changed[message.id] = _changed(message)

    def retried(self, fact: MessagesRetried, changes: Collection[Change]) -> None:
        """Note the messages that an order retried, which are among `changes`."""
        if entry := self.get(fact.order):
            granted = {change.message for change in changes if change.state is State.RETRYING}
            nexts = (retry.next for retry in fact.retries if retry.next.id in granted)
            entry.changed |= {message.id: _changed(message) for message in nexts}

    def finish(self, done: OrderDone) -> None:
        """Mark an order as carried out. A second time changes nothing."""
        entry = self.get(done.order)
        if entry is None or entry.done_at is not None or entry.stands:
            return
        entry.done_at, entry.left, entry.meant = done.at, done.left, {}
        if isinstance(entry.order, RetryOrder):
            entry.order = entry.order.model_copy(update={"moves": ()})
        self._settle(entry)

    def _settle(self, entry: Ordered) -> None:
        """Count the names of an order that is done, and abridge the oldest orders."""
        self._names += entry.names
        while self._names > DETAILS:
            self._abridge(next(e for e in self.entries.values() if e.done_at is not None and not e.abridged))

    def _abridge(self, entry: Ordered) -> None:
        self._names -= entry.names
        entry.order = entry.order.model_copy(update={"servers": (), "issues": ()})
        entry.changed, entry.running, entry.left, entry.abridged = {}, {}, (), True


def _known(order: Order, servers: Mapping[str, ServerBoard]) -> list[str]:
    return [name for name in order.servers if name in servers]


def _target(order: Order, message: BackMessage) -> str:
    return message.move if isinstance(order, WithdrawOrder) else message.id


def _of(ids: Collection[str], server: ServerBoard) -> tuple[Unsettled, ...]:
    wanted = set(ids)
    return tuple(known for known in server.messages() if known.message.id in wanted)


def _running(message: BackMessage, deploy: str) -> RunningMessage:
    return RunningMessage(issue=message.issue, server=message.server, deploy=deploy)


def _changed(message: BackMessage) -> ChangedMessage:
    return ChangedMessage(id=message.id, issue=message.issue, server=message.server, attempt=message.attempt)
