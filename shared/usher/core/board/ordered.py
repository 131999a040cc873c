"""An order on the board: the messages that it applies to, and what it has changed so far.

An order applies to the messages that are on the board at its place in the journal. So an order that is carried out late
changes nothing newer, and an order that is published twice is one order.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import assert_never

from usher.core.board.entries import Unsettled
from usher.core.board.server import ServerBoard
from usher.core.messages import BackMessage
from usher.core.orders import (
    AbortOrder,
    AnyOrder,
    ChangedMessage,
    DropOrder,
    HoldOrder,
    LeftIssue,
    Order,
    OrderId,
    ReleaseOrder,
    RetryOrder,
    RunningMessage,
    WithdrawOrder,
)
from usher.core.states import State


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
        case AbortOrder() | HoldOrder() | ReleaseOrder():
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

    The `running` of a hold were being deployed when it began. A hold stands until `done_at`. `ended_by` is who released
    it; None if it has expired. `ended` are the holds that a release ended.

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
    ended_by: str | None = None
    ended: tuple[OrderId, ...] = ()

    @property
    def stands(self) -> bool:
        """Whether it is a hold that has not ended."""
        return isinstance(self.order, HoldOrder) and self.done_at is None

    @property
    def answered(self) -> bool:
        """Whether its result is known. That of a hold is known as soon as the journal has the hold."""
        return self.done_at is not None or isinstance(self.order, HoldOrder)

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
        case AbortOrder() | HoldOrder() | ReleaseOrder():
            return ()
        case _:
            return assert_never(entry.order)
