"""Carries out orders: writes the changes to the journal, then `order.done`, and acks the order last.

A crash between two steps is harmless: the order is delivered again, and the board shows what it has changed so far. The
queue keeps every order until it is carried out, and a hold until it has ended. An order that the journal has lost is
re-published.
"""

import logging
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import assert_never

from successes.orders.refusals import Refusals
from successes.results.decisions import each
from usher.broker.changes import HOLDS
from usher.broker.consumer import Consumer, Delivery
from usher.broker.journal import Journal
from usher.broker.publisher import Publisher
from usher.core.board.board import Board
from usher.core.board.entries import Unsettled
from usher.core.board.ordered import Ordered, due
from usher.core.board.server import ServerBoard
from usher.core.errors import NotConfirmed, Unreadable
from usher.core.events import DeployInterrupted, MessagesRetried, MessagesWithdrawn, Retry, decode_order
from usher.core.messages import BackMessage
from usher.core.orders import (
    MAX_HOLDS,
    AbortOrder,
    DropOrder,
    HoldOrder,
    OrderDone,
    ReleaseOrder,
    RetryOrder,
    WithdrawOrder,
)
from usher.core.states import State
from usher.core.versions import check
from usher.runtime.clock import Clock
from usher.runtime.wording import count

log = logging.getLogger(__name__)

PREFETCH = 2 * MAX_HOLDS
"""The queue keeps an order of each standing hold, unacked, and a second one while it is renewed."""
AT_ONCE = 1000
"""The maximum number of messages in one event, so that events stay small."""


class Carrying:
    """Carries out orders, for one connection."""

    def __init__(self, journal: Journal, publisher: Publisher, refusals: Refusals, clock: Clock) -> None:
        self._journal = journal
        self._publisher = publisher
        self._refusals = refusals
        self._clock = clock
        self._standing: dict[str, Delivery] = {}
        """The newest delivery of each hold that stands. The queue keeps it until the hold has ended."""

    async def run(self, consumer: Consumer) -> None:
        """Carry out orders from the queue, until cancelled.

        Raises NotUnderstood or another BrokerError. Orders that are not acked by then are redelivered.
        """
        while True:
            deliveries = await consumer.drain()
            # orders are also published to the journal: after the barrier, one that is not on the board is not in it
            await self._journal.barrier()
            for delivery in deliveries:
                await self._take(delivery)

    async def _take(self, delivery: Delivery) -> None:
        check(delivery.headers, f"order {delivery.message_id}")
        try:
            order = decode_order(delivery.body)
        except Unreadable as fault:
            await self._publisher.park(delivery.body, delivery.message_id, str(fault))
            log.warning("parked an order that cannot be read (%s): %s", delivery.message_id or "no message id", fault)
        else:
            entry = self._board.orders.get(order.id)
            if entry is None and order.id not in self._board.orders.left_out:
                await self._publisher.order(order.model_copy(update={"republished": True}))
                log.warning("order %s of %s: the journal does not know it; re-published", order.id, order.by)
            elif entry and entry.stands:
                former, self._standing[order.id] = self._standing.get(order.id), delivery
                if former:
                    await former.ack()
                return
            elif entry and entry.done_at is None:
                await self._carry_out(entry)
        await delivery.ack()

    async def ack_ended(self) -> None:
        """Ack each hold once it has ended, until cancelled. Raises ConsumerLost."""
        changed = self._journal.changed(HOLDS)
        while True:
            changed.clear()
            # look again after each ack: others clear the same event
            while ended := next((one for one in self._standing if not self._board.orders.holds.get(one)), None):
                await self._standing.pop(ended).ack()
            await changed.wait()

    async def _carry_out(self, entry: Ordered) -> None:
        order = entry.order
        if isinstance(order, AbortOrder):
            await self._end_stuck(order)
        for server in tuple(entry.meant):
            meant = due(entry, server, self._board.server(server))
            for start in range(0, len(meant), AT_ONCE):
                await self._journal.append(self._fact(entry, server, meant[start : start + AT_ONCE]))
        await self._publish_nexts(entry)
        left = await self._refusals.of(entry, self._board)
        await self._journal.append(OrderDone(order=order.id, at=self._clock.now(), left=left))
        changed = count(len(entry.changed), "message")
        log.info("%s of %s (%s): %s changed, %d left", order.kind, order.by, order.id, changed, len(left))

    async def _end_stuck(self, order: AbortOrder) -> None:
        """Write that the command of a stuck deploy is gone, unless it is known by now."""
        for server in order.servers:
            if order.deploy in self._board.server(server).stuck:
                reason = f"{order.by} says that its command has ended{f': {order.reason}' if order.reason else ''}"
                gone = DeployInterrupted(
                    deploy=order.deploy, server=server, by=order.by, reason=reason, at=self._clock.now(), gone=True
                )
                await self._journal.append(gone)

    def _fact(self, entry: Ordered, server: str, meant: Sequence[Unsettled]) -> MessagesWithdrawn | MessagesRetried:
        order, now = entry.order, self._clock.now()
        match order:
            case WithdrawOrder() | DropOrder() | AbortOrder() | HoldOrder() | ReleaseOrder():
                ids = tuple(known.message.id for known in meant)
                return MessagesWithdrawn(server=server, messages=ids, by=order.by, order=order.id, at=now)
            case RetryOrder():
                return MessagesRetried(
                    deploy=order.deploy,
                    server=server,
                    retries=tuple(_retry(known, now) for known in meant),
                    reason=order.reason or "ordered",
                    by=order.by,
                    order=order.id,
                    at=now,
                )
            case _:
                return assert_never(order)

    async def _publish_nexts(self, entry: Ordered) -> None:
        """Publish the next attempts that the order was granted, including those of an earlier try that was interrupted.

        Raises NotConfirmed if the journal has not received them all. Messages that their server's queue did not accept
        are re-published by the sweep.
        """

        async def publish(message: BackMessage) -> None:
            with suppress(NotConfirmed):
                await self._publisher.message(message)

        if isinstance(entry.order, RetryOrder) and (nexts := tuple(_unpublished(entry, self._board))):
            await each(nexts, publish)
            await self._journal.barrier()
            if missing := sum(1 for _ in _unpublished(entry, self._board)):
                raise NotConfirmed(what=count(missing, "next attempt"), why="the journal has not received it")

    @property
    def _board(self) -> Board:
        return self._journal.board


def _retry(known: Unsettled, now: int) -> Retry:
    """A retry that is due now. A retry that was not due yet keeps its attempt number."""
    message = known.message
    return Retry(failed=message.id, next=message.again(now, postponed=known.state is State.RETRYING))


def _unpublished(entry: Ordered, board: Board) -> Iterator[BackMessage]:
    """The next attempts that the order was granted and that are still retrying on the board."""
    for changed in entry.changed.values():
        if message := board.servers.get(changed.server, ServerBoard()).retrying.get(changed.id):
            yield message
