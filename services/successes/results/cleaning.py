"""Cleaning: what is parked and has been settled since, by a later pass or an order, is removed from `usher.parked`.

Only what the journal says to be settled is touched; what it does not know, and what cannot be read, stays for a person.
"""

import asyncio
import logging
from collections.abc import Iterable
from contextlib import suppress

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
"""The largest prefetch: what stays in the queue must not keep what comes after it from being seen. None at all would be
2,000 to a quorum queue."""

LAST_OF_ALL = {"x-priority": -10}
"""Whoever else reads the queue comes first."""

QUIET_SECONDS = 1.0
"""A queue that brings nothing for so long has brought all that it has. What it had not is seen next time."""

HELD_SECONDS = 60.0
"""Seconds within which the broker notices that a consumer is gone: until then, what it held is not seen."""


class Cleaning:
    """One pass at a time through `usher.parked`: after each start, once more when the broker has noticed that a lost
    connection is gone, and after what settles something that is there."""

    def __init__(self) -> None:
        self._parked: set[str] = set()
        self._due = asyncio.Event()

    def observe(self, event: Event, changes: Iterable[Change], board: Board) -> None:
        """Take in an event, what it changed, and the board since."""
        if isinstance(event, MessagesParked):
            self._parked.update(event.messages)
            self._settle(m for m in event.messages if board.state(m) in TERMINAL)
        self._settle(change.message for change in changes if change.state in TERMINAL)

    def begin(self, board: Board) -> None:
        """The board has been caught up with."""
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
                looking = consume(link, topology.PARKED, "cleaning", prefetch=ALL, arguments=LAST_OF_ALL)
                async with looking as consumer:
                    gone = await self._clean(consumer, journal.board)
                if gone:
                    log.info("removed %d from %s: settled since", gone, topology.PARKED)
        finally:
            once_more.cancel()

    async def _clean(self, consumer: Consumer, board: Board) -> int:
        """Ack what is settled, older copies of it, too; the rest goes back when the consumer is left."""
        gone = 0
        with suppress(TimeoutError):
            while True:
                async with asyncio.timeout(QUIET_SECONDS):
                    delivery = await consumer.get()
                if _is_settled(message := _message(delivery), board):
                    await delivery.ack()
                    gone += 1
                elif message:
                    # also what the board never knew to be parked: the result of its deploy may not be in the journal
                    self._parked.add(message)
        return gone

    def _settle(self, messages: Iterable[str]) -> None:
        settled = self._parked.intersection(messages)
        if settled:
            self._parked -= settled
            self._due.set()


def _is_settled(message: str | None, board: Board) -> bool:
    return message is not None and board.state(message) in TERMINAL


def _message(delivery: Delivery) -> str | None:
    """Its id, if it is one of Usher's."""
    try:
        return decode_message(delivery.body).id
    except Unreadable:
        return None
