"""The desk: accepts orders, answers with their results, and lists them.

It reads the ledger only for the moves of a past deploy, so everything else works while the database is down.
"""

import asyncio
from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass

from successes.ledger.ledger import Ledger
from successes.orders.covered import read_covered, refuse_running
from usher.api.orders import OrderState
from usher.broker.changes import HOLDS
from usher.broker.journal import Journal
from usher.broker.link import Link, LinkLost
from usher.broker.publisher import Publisher
from usher.core.board.board import Board
from usher.core.board.ordered import Ordered
from usher.core.errors import BadMessage, BrokerError, UsherError
from usher.core.issues import Issue
from usher.core.orders import AbortOrder, HoldOrder, Order, OrderDone, RetryOrder
from usher.runtime.clock import Clock
from usher.web.readiness import unconfirmed

SECONDS = 10.0
"""How long an answer waits until the order has been carried out."""

_DONE = str(OrderDone.model_fields["kind"].default)


class UnknownOrder(UsherError):
    """no order {order} is known; /api/orders lists them"""


class NotStuck(UsherError):
    """no deploy {deploy} is stuck; `usher servers` shows which are"""


@dataclass(frozen=True, slots=True)
class Session:
    """A connection whose journal has been read to its end."""

    link: Link
    journal: Journal
    publisher: Publisher


@dataclass(frozen=True, slots=True)
class Signed:
    """The id of an order, who gives it, and why."""

    id: str
    by: str
    reason: str


class Desk:
    """Accepts orders while it has a session."""

    def __init__(self, ledger: Ledger, clock: Clock) -> None:
        self._ledger = ledger
        self._clock = clock
        self._session: Session | None = None
        self._stood: Board | None = None

    @property
    def board(self) -> Board:
        """The last board that was read to the end of the journal. Raises BrokerError if there is none yet."""
        board = self._session.journal.board if self._session else self._stood
        if board is None:
            raise BrokerError(why="the journal is still being read; try again in a few seconds")
        return board

    def servers_with(self, issues: Collection[Issue]) -> Iterator[str]:
        """The servers on the board that have messages of these issues; without issues, that have any.

        There are none before the journal has been read to its end.
        """
        board = self._session.journal.board if self._session else self._stood
        for name in board or ():
            if any(not issues or entry.message.issue in issues for entry in self.board.server(name).messages()):
                yield name

    def open(self, session: Session) -> None:
        """Accept orders from now on."""
        self._session = session

    def close(self) -> None:
        """Accept no more orders. The last board can still be read."""
        self._stood, self._session = self.board if self._session else self._stood, None

    async def unready(self) -> str | None:
        """Why no orders can be accepted now; None if they can."""
        return await unconfirmed(self._session.publisher if self._session else None)

    def known(self, kind: type[Order], order: str) -> Ordered | None:
        """The order with that id, if the board knows it.

        Raises BadMessage if its kind is different, or if its details have been deleted.
        """
        entry = self.board.orders.get(order)
        if order in self.board.orders.left_out:
            raise BadMessage(why=f"the order {order} has already been carried out, and its details have been deleted")
        if entry and not isinstance(entry.order, kind):
            raise BadMessage(why=f"the id {order} belongs to another order ({entry.order.kind}); use a new id")
        return entry

    async def give(self, order: Order) -> OrderState:
        """Publish an order, unless it is done. Returns its state once it is done, or after SECONDS.

        An order that the board knows may have reached only the journal, so it is published again.

        Raises BadMessage if its id belongs to an order of another kind, and BrokerError if it was not confirmed.
        """
        session = self._open()
        entry = self.known(type(order), order.id)
        if entry is None or entry.done_at is None:
            try:
                await session.publisher.order(entry.order if entry else order)
            except BrokerError as fault:
                raise BrokerError(why=f"{fault}; {may_repeat(order.id)}") from None
        return await self._answer(order, session)

    async def retry_deploy(self, deploy: str, signed: Signed) -> OrderState:
        """Order that the messages of a deploy are retried, if they have not passed since.

        Raises what `give` raises, UnknownDeploy, NothingToRetry, and LedgerFault if the ledger cannot be read.
        """
        session = self._open()
        if entry := self.known(RetryOrder, signed.id):
            return await self.give(entry.order)
        server, moves = await asyncio.to_thread(read_covered, self._ledger, deploy)
        await session.journal.barrier()
        refuse_running(self.board, server, deploy)
        order = RetryOrder(
            id=signed.id,
            by=signed.by,
            reason=signed.reason,
            at=self._clock.now(),
            servers=(server,),
            issues=tuple(sorted(set(moves.values()))),
            deploy=deploy,
            moves=tuple(moves),
        )
        return await self.give(order)

    async def abort_stuck(self, deploy: str, signed: Signed) -> OrderState:
        """Record that the command of a stuck deploy has ended. Raises what `give` raises, and NotStuck."""
        session = self._open()
        if entry := self.known(AbortOrder, signed.id):
            return await self.give(entry.order)
        await session.journal.barrier()
        servers = tuple(name for name in self.board if deploy in self.board.server(name).stuck)
        if not servers:
            raise NotStuck(deploy=ascii(deploy)[:40])
        now = self._clock.now()
        order = AbortOrder(id=signed.id, by=signed.by, reason=signed.reason, at=now, servers=servers, deploy=deploy)
        return await self.give(order)

    async def read(self) -> Board:
        """The board, up to the present end of the journal. Raises NotConfirmed or another BrokerError."""
        await self._open().journal.barrier()
        return self.board

    async def find(self, order: str) -> OrderState:
        """The order with that id. Raises UnknownOrder, or BrokerError if there is no board yet."""
        if self._session and self.board.orders.get(order) is None:
            with suppress(BrokerError):
                await self._session.journal.barrier()
        entry = self.board.orders.get(order)
        if entry is None:
            raise UnknownOrder(order=ascii(order)[:40])
        return OrderState.of(entry)

    def listed(self, issue: Issue | None, server: str | None, by: str | None) -> list[Ordered]:
        """The orders for this issue, for this server and by this person, newest first. None matches everything.

        Raises BrokerError if there is no board yet.
        """
        entries = reversed(self.board.orders.entries.values())
        return [
            entry
            for entry in entries
            if (issue is None or issue in _issues(entry))
            and (server is None or server in entry.order.servers)
            and (by is None or by == entry.order.by)
        ]

    def _open(self) -> Session:
        if self._session is None:
            raise BrokerError(why="the journal is still being read; send the order again soon, with the same id")
        return self._session

    async def _answer(self, order: Order, session: Session) -> OrderState:
        """The state of the order once it is done, or after SECONDS. It is carried out even if that takes longer."""
        with suppress(TimeoutError, LinkLost):
            async with asyncio.timeout(SECONDS):
                changed = session.journal.changed(HOLDS if isinstance(order, HoldOrder) else _DONE)
                while (entry := session.journal.board.orders.get(order.id)) is None or not entry.answered:
                    changed.clear()
                    await session.link.hold(changed.wait())
        return OrderState.of(self.board.orders.get(order.id) or Ordered(order))


def may_repeat(order: str) -> str:
    """Tells a caller how to repeat an order that may or may not have been accepted."""
    return f"it is safe to send it again with the same id: {order}"


def _issues(entry: Ordered) -> Iterator[Issue]:
    yield from entry.order.issues
    yield from (message.issue for message in entry.changed.values())
