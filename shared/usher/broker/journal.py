"""The journal's reader: follows the stream, keeps the board, and says when what was written has been read."""

import asyncio
import logging
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from usher.board import Board
from usher.broker import topology
from usher.broker.consumer import Consumer, Delivery, consume
from usher.broker.link import Link, LinkLost
from usher.broker.publisher import Publisher
from usher.clock import Clock
from usher.errors import Unreadable
from usher.events import Barrier, Event, decode
from usher.states import Change

log = logging.getLogger(__name__)

PREFETCH = 2000
READ_SECONDS = 30.0

Observer = Callable[[Event, tuple[Change, ...]], None]


class Journal:
    """The board as of the last entry read, and the one way to write entries.

    `observe` is called with every event and what it changed, in order.
    """

    def __init__(self, link: Link, publisher: Publisher, clock: Clock, observe: Observer | None = None) -> None:
        self.board = Board()
        self._link = link
        self._publisher = publisher
        self._clock = clock
        self._observe = observe
        self._awaited: dict[str, asyncio.Future[None]] = {}
        self._changed: dict[str, asyncio.Event] = {}

    async def append(self, event: Event) -> None:
        """Write an event (confirmed) and read up to it. Raises NotConfirmed or LinkLost.

        A stream that confirms and brings nothing for half a minute stands still: the link is given up.
        """
        message_id = secrets.token_hex(16)
        self._awaited[message_id] = asyncio.get_running_loop().create_future()
        try:
            await self._publisher.event(event, message_id)
            async with asyncio.timeout(READ_SECONDS):
                await self._link.hold(self._awaited[message_id])
        except TimeoutError:
            self._link.lose()
            raise LinkLost from None
        finally:
            del self._awaited[message_id]

    async def barrier(self) -> None:
        """Read everything that is in the journal by now. Raises NotConfirmed or LinkLost."""
        await self.append(Barrier(id=secrets.token_hex(8)))

    def changed(self, server: str) -> asyncio.Event:
        """Set whenever an event of that server has been read; whoever waits for it clears it."""
        return self._changed.setdefault(server, asyncio.Event())

    async def _follow(self, consumer: Consumer) -> None:
        while True:
            for delivery in await consumer.drain():
                self._read(delivery)
            await delivery.ack_all()

    def _read(self, delivery: Delivery) -> None:
        try:
            event = decode(delivery.body)
        except Unreadable as fault:
            log.warning("passed over an entry of the journal: %s", fault)
        else:
            changes = self.board.apply(event, now=self._clock.now(), read_at=self._clock.monotonic())
            if self._observe:
                self._observe(event, changes)
            if server := getattr(event, "server", None):
                self.changed(server).set()
        awaited = self._awaited.get(delivery.message_id)
        if awaited and not awaited.done():
            awaited.set_result(None)


@asynccontextmanager
async def follow(
    link: Link, publisher: Publisher, clock: Clock, tag: str, observe: Observer | None = None
) -> AsyncIterator[Journal]:
    """A journal read from its first entry and caught up with, for as long as the block runs.

    When the reader ends, the link counts as lost: nobody may act on a board that stands still.
    """
    journal = Journal(link, publisher, clock, observe)
    start = {"x-stream-offset": "first"}
    async with consume(link, topology.JOURNAL, tag, prefetch=PREFETCH, arguments=start) as consumer:
        reader = asyncio.create_task(journal._follow(consumer))
        reader.add_done_callback(lambda _: link.lose())
        try:
            await journal.barrier()
            yield journal
        finally:
            reader.cancel()
            await asyncio.gather(reader, return_exceptions=True)
