"""Orders on the board: which messages each applies to, what it changed, and whether it has been carried out.

An order applies to the messages that are on the board at its place in the journal. So an order that is carried out late
changes nothing newer, and an order that is published twice is one order.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import assert_never

from usher.core.board.entries import Unsettled
from usher.core.board.server import ServerBoard
from usher.core.events import MessagesRetried, MessagesWithdrawn
from usher.core.messages import BackMessage
from usher.core.orders import (
    AbortOrder,
    AnyOrder,
    ChangedMessage,
    DropOrder,
    LeftIssue,
    Order,
    OrderDone,
    RetryOrder,
    RunningMessage,
    WithdrawOrder,
)
from usher.core.states import Change, State

REMEMBERED = 10_000
"""How many orders are remembered, so that a repeated order changes nothing. The oldest completed ones are forgotten."""

DETAILS = 100_000
"""The maximum number of names that all completed orders hold together. The oldest orders beyond that are abridged."""


def meant(order: Order, server: ServerBoard) -> tuple[BackMessage, ...]:
    """The messages that an order applies to, from the board of the server at the order's place in the journal.

    The place of a re-published order is later than when it was given. It applies to no message published since then.
    """
    return tuple(m for m in _matching(order, server) if not order.republished or m.age <= order.at)


def _matching(order: Order, server: ServerBoard) -> Iterator[BackMessage]:
    match order:
        case WithdrawOrder():
            wanted = set(order.issues)
            yield from (
                m.message for m in server.messages() if m.state is not State.PARKED and m.message.issue in wanted
            )
        case RetryOrder(deploy=str()):
            moves = set(order.moves)
            yield from (m.message for m in server.messages() if m.state in _UNPASSED and m.message.move in moves)
        case RetryOrder():
            yield from (*_parked(order, server), *_returning(order, server))
        case DropOrder():
            yield from _parked(order, server)
        case AbortOrder():
            pass
        case _:
            assert_never(order)


_UNPASSED = (State.FAILED, State.PARKED, State.RETRYING)


def _parked(order: Order, server: ServerBoard) -> tuple[BackMessage, ...]:
    wanted = set(order.issues)
    return tuple(entry.message for entry in server.parked if not wanted or entry.message.issue in wanted)


def _returning(order: Order, server: ServerBoard) -> tuple[BackMessage, ...]:
    """Messages that wait for their next attempt: of the named issues, or else those already due at the order's time."""
    wanted = set(order.issues)
    return tuple(m for m in server.retrying.values() if (m.issue in wanted if wanted else m.queued_at <= order.at))


@dataclass(slots=True)
class Ordered:
    """An order and its result. The keys of `changed` and `running` are message ids.

    `meant` are the ids of the messages that it applies to, by server, until it is done. For a withdrawal, they are the
    ids of the first attempts, because a later attempt of the same move is withdrawn too. An `abridged` order has been
    carried out, and its details have been deleted.
    """

    order: AnyOrder
    meant: dict[str, tuple[str, ...]] = field(default_factory=dict)
    changed: dict[str, ChangedMessage] = field(default_factory=dict)
    running: dict[str, RunningMessage] = field(default_factory=dict)
    left: tuple[LeftIssue, ...] = ()
    done_at: int | None = None
    abridged: bool = False

    @property
    def names(self) -> int:
        """How many names it holds. This measures the memory that it takes."""
        held: tuple[Collection[object], ...] = (
            self.order.servers,
            self.order.issues,
            self.changed,
            self.running,
            self.left,
        )
        return sum(map(len, held))


def due(entry: Ordered, server: str, board: ServerBoard) -> tuple[Unsettled, ...]:
    """The messages that an order still has to change on a server, given the server's board now."""
    targets = set(entry.meant.get(server, ()))
    match entry.order:
        case WithdrawOrder():
            return tuple(m for m in board.messages() if m.message.move in targets and m.message.id not in entry.running)
        case RetryOrder():
            return tuple(m for m in board.messages() if m.state in _UNPASSED and m.message.id in targets)
        case DropOrder():
            return tuple(m for m in board.messages() if m.state is State.PARKED and m.message.id in targets)
        case AbortOrder():
            return ()
        case _:
            return assert_never(entry.order)


class Orders:
    """The last orders by id, oldest first. Each method that changes them applies one entry of the journal."""

    def __init__(self, entries: dict[str, Ordered] | None = None) -> None:
        self.entries = entries or {}
        self._names = sum(entry.names for entry in self.entries.values() if entry.done_at is not None)

    def get(self, order: str | None) -> Ordered | None:
        """The order with that id; None if the journal does not know it, or if it has been forgotten."""
        return None if order is None else self.entries.get(order)

    def give(self, order: Order, servers: Mapping[str, ServerBoard]) -> None:
        """Add an order. A known order changes nothing."""
        if order.id in self.entries:
            return
        means = {name: tuple(_target(order, m) for m in meant(order, servers[name])) for name in _known(order, servers)}
        self.entries[order.id] = Ordered(order, {name: targets for name, targets in means.items() if targets})
        if len(self.entries) > REMEMBERED:
            # never an unfinished order: the queue would deliver it as an unknown one, and it would be re-published
            done = (known for known, entry in self.entries.items() if entry.done_at is not None)
            if oldest := next(done, None):
                self._names -= self.entries.pop(oldest).names

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
                    entry.running[message.id] = RunningMessage(
                        issue=message.issue, server=message.server, deploy=str(known.deploy)
                    )
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
        if entry is None or entry.done_at is not None:
            return
        entry.done_at, entry.left, entry.meant = done.at, done.left, {}
        if isinstance(entry.order, RetryOrder):
            entry.order = entry.order.model_copy(update={"moves": ()})
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


def _changed(message: BackMessage) -> ChangedMessage:
    return ChangedMessage(id=message.id, issue=message.issue, server=message.server, attempt=message.attempt)
