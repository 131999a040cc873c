"""Cleaning: removes parked messages from `usher.parked` once a later pass or an order has settled them.

Only messages that are settled on the board are removed. Unknown or unreadable ones are left for a person, who can list
the unreadable ones.
"""

import asyncio
import logging
from collections.abc import Iterable
from contextlib import suppress

from usher.api.types import UnreadableMessage
from usher.broker import topology
from usher.broker.consumer import Consumer, Delivery, consume
from usher.broker.journal import Journal
from usher.broker.link import Link
from usher.core.board.board import Board
from usher.core.errors import Unreadable
from usher.core.events import Event, MessagesParked, decode_message
from usher.core.states import TERMINAL, Change, State

log = logging.getLogger(__name__)

ALL = 65_535
"""The largest prefetch: messages that stay in the queue must not hide those behind them. A quorum queue would take 0 as
2,000."""

LOWEST_PRIORITY = {"x-priority": -10}
"""Any other consumer of the queue comes first."""

QUIET_SECONDS = 1.0
"""A queue that delivers nothing for this long has delivered everything. Anything later is seen in the next pass."""

HELD_SECONDS = 60.0
"""Seconds until the broker has noticed that a consumer is gone. Until then, the messages that it held stay hidden."""


FRESH_SECONDS = 5.0
"""For this long after a pass, its list of unreadable messages is current."""

LOOK_SECONDS = 5.0
"""How long to wait for a pass. If there is no connection, the list of the last pass must do."""

MAX_UNREADABLE = 100
BEGINNING = 200
"""The number of bytes that are shown of an unreadable message."""


class Cleaning:
    """Passes through `usher.parked`, one at a time.

    A pass starts after each start of the service, once more when the broker has noticed that a lost connection is gone,
    when a message in the queue is settled, and when somebody asks for the unreadable messages.
    """

    def __init__(self) -> None:
        self._parked: set[str] = set()
        self._due = asyncio.Event()
        self._passed = asyncio.Event()
        self._passed_at = -FRESH_SECONDS
        self._unreadable: list[UnreadableMessage] = []

    async def unreadable(self) -> list[UnreadableMessage]:
        """The first parked messages that cannot be read, at most MAX_UNREADABLE."""
        if asyncio.get_running_loop().time() - self._passed_at >= FRESH_SECONDS:
            self._passed.clear()
            self._due.set()
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_SECONDS):
                    await self._passed.wait()
        return self._unreadable

    def observe(self, event: Event, changes: Iterable[Change], board: Board) -> None:
        """Record an event, its changes, and the board after it."""
        if isinstance(event, MessagesParked):
            self._parked.update(event.messages)
            self._settle(m for m in event.messages if board.state(m) in TERMINAL)
        self._settle(change.message for change in changes if change.state in TERMINAL)

    def begin(self, board: Board) -> None:
        """The board is up to date: schedule a pass."""
        unsettled = (m for name in board for m in board.server(name).messages())
        self._parked.update(m.message.id for m in unsettled if m.state is State.PARKED)
        self._due.set()

    async def run(self, link: Link, journal: Journal) -> None:
        """Clean until cancelled. Raises ConsumerLost."""
        once_more = asyncio.get_running_loop().call_later(HELD_SECONDS, self._due.set)
        try:
            while True:
                await self._due.wait()
                self._due.clear()
                consuming = consume(link, topology.PARKED, "cleaning", prefetch=ALL, arguments=LOWEST_PRIORITY)
                async with consuming as consumer:
                    removed = await self._clean(consumer, journal.board)
                self._passed_at = asyncio.get_running_loop().time()
                self._passed.set()
                if removed:
                    log.info("removed %d settled messages from %s", removed, topology.PARKED)
        finally:
            once_more.cancel()

    async def _clean(self, consumer: Consumer, board: Board) -> int:
        """Ack settled messages and all their copies. The others return to the queue when the consumer closes."""
        removed, unreadable = 0, list[UnreadableMessage]()
        with suppress(TimeoutError):
            while True:
                async with asyncio.timeout(QUIET_SECONDS):
                    delivery = await consumer.get()
                if _is_settled(message := _message(delivery), board):
                    await delivery.ack()
                    removed += 1
                elif message:
                    # even if the board does not have it as parked: the journal may lack the result of its deploy
                    self._parked.add(message)
                else:
                    unreadable.append(_unreadable(delivery))
        self._unreadable = unreadable[:MAX_UNREADABLE]
        return removed

    def _settle(self, messages: Iterable[str]) -> None:
        settled = self._parked.intersection(messages)
        if settled:
            self._parked -= settled
            self._due.set()


def _is_settled(message: str | None, board: Board) -> bool:
    return message is not None and board.state(message) in TERMINAL


def _message(delivery: Delivery) -> str | None:
    """The id of the message; None if it cannot be read."""
    try:
        return decode_message(delivery.body).id
    except Unreadable:
        return None


def _unreadable(delivery: Delivery) -> UnreadableMessage:
    return UnreadableMessage(
        id=delivery.message_id,
        # whatever Usher parks has a reason
        reason=str(delivery.headers.get("reason", "it was not parked by Usher")),
        size=len(delivery.body),
        beginning=delivery.body[:BEGINNING].decode("utf-8", "replace"),
    )
