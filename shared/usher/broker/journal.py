"""The journal's reader: follows the stream, keeps the board, and says when what was written has been read."""

import asyncio
import logging
import secrets
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import NoReturn

from usher.broker import topology
from usher.broker.consumer import Consumer, Delivery, consume
from usher.broker.link import Link, LinkLost
from usher.broker.places import Entry, Memory, NoCheckpoint, OtherJournal, Position, Start, starts
from usher.broker.publisher import TELLING, Publisher
from usher.broker.reading import Fold, Observer
from usher.core.board.board import Board
from usher.core.checkpoints import Checkpoint, encode_checkpoint
from usher.core.events import Barrier, Event
from usher.core.states import Change
from usher.core.versions import NotUnderstood, needs_of
from usher.runtime.clock import Clock
from usher.runtime.tasks import end, first

log = logging.getLogger(__name__)


class _Adopted(Exception):
    """The reader goes on at a checkpoint."""


PREFETCH = 2000
READ_SECONDS = 30.0
RESUME_SECONDS = 5.0


class Journal:
    """The board as of the last entry read, and the one way to write entries."""

    def __init__(
        self,
        link: Link,
        publisher: Publisher,
        clock: Clock,
        start: Start,
        memory: Memory,
        observe: Observer | None,
    ) -> None:
        self._link = link
        self._publisher = publisher
        self._clock = clock
        self._memory = memory
        self._observe = observe
        self._fold = Fold(start, memory, clock, self._observed)
        self._awaited: dict[str, asyncio.Future[tuple[Change, ...]]] = {}
        self._limits: set[asyncio.Timeout] = set()
        self._changed: dict[str, asyncio.Event] = {}
        self._begun = asyncio.Event()

    @property
    def board(self) -> Board:
        """The board."""
        assert self._memory.board is not None  # noqa: S101 - it is there once the journal has been caught up with
        return self._memory.board

    @property
    def position(self) -> Position:
        """The last entry read."""
        assert self._memory.position is not None  # noqa: S101 - at least the barrier has been read
        return self._memory.position

    @property
    def halted(self) -> asyncio.Event:
        """Set once the reader has met an entry that only a newer version understands: nobody may act on the board."""
        return self._fold.halted

    def why_halted(self) -> NotUnderstood:
        """Why it has halted."""
        return self._fold.why()

    @property
    def lowered(self) -> asyncio.Event:
        """Set while a checkpoint would let readers go on that have halted: the board needs less than an entry did."""
        return self._fold.lowered

    @property
    def checkpointed_at(self) -> int:
        """When the last checkpoint that was read had been written down (ms); 0 if none was."""
        return self._fold.checkpointed_at

    async def append(self, event: Event) -> tuple[Change, ...]:
        """Write an event (confirmed) and read up to it; gives what it changed. Raises NotConfirmed or LinkLost.

        Raises NotUnderstood if the reader has halted: the event is in the journal then, but nobody here has read it.
        A stream that confirms and brings nothing for half a minute stands still: the link is given up.
        """
        message_id = secrets.token_hex(16)
        self._awaited[message_id] = asyncio.get_running_loop().create_future()
        try:
            await self._publisher.event(event, message_id)
            async with asyncio.timeout(READ_SECONDS) as limit:
                self._limits.add(limit)
                try:
                    return await self._link.hold(first(self._awaited[message_id], (self.halted, self.why_halted)))
                finally:
                    self._limits.remove(limit)
        except TimeoutError:
            self._link.lost.set()
            raise LinkLost from None
        finally:
            del self._awaited[message_id]

    async def barrier(self) -> None:
        """Read everything that is in the journal by now. Raises NotConfirmed or LinkLost."""
        await self.append(Barrier(id=secrets.token_hex(8)))

    async def checkpoint(self) -> None:
        """Write the whole board down. Raises NotConfirmed, or TooLarge if it is too large for an entry."""
        board = self.board
        body = encode_checkpoint(Checkpoint.of(board, self.position.offset, self._clock.now()))
        await self._publisher.checkpoint(body, board.needs)

    def changed(self, what: str) -> asyncio.Event:
        """Set whenever an event of that server has been read, or one of that kind which concerns no single server;
        whoever waits for it clears it."""
        return self._changed.setdefault(what, asyncio.Event())

    @asynccontextmanager
    async def _reading(self, tag: str, stop: asyncio.Event | None) -> AsyncIterator[None]:
        """Read from where to begin up to what is in the journal by now, and then on."""
        arguments = {"x-stream-offset": self._fold.start.offset}
        async with consume(self._link, topology.JOURNAL, tag, prefetch=PREFETCH, arguments=arguments) as consumer:
            reader = asyncio.create_task(self._follow(consumer))
            caught_up = asyncio.create_task(self.barrier())
            try:
                if self._fold.start.resumes:
                    await self._begins()
                await asyncio.wait((reader, caught_up), return_when=asyncio.FIRST_COMPLETED)
                if reader.done() and reader.exception():
                    reader.result()
                if not self.halted.is_set():
                    await caught_up
                    self._fold.settle()
                if self.halted.is_set():
                    await self._until_adopted(stop)
                reader.add_done_callback(lambda _: self._link.lost.set())
                yield
            finally:
                await end(reader, caught_up)

    async def _until_adopted(self, stop: asyncio.Event | None) -> NoReturn:
        """Wait for a checkpoint to go on at, until `stop` is set. Raises _Adopted, else NotUnderstood."""
        why = self._fold.why()
        if stop:
            log.error("%s. Nothing is done until then, or until a checkpoint needs no more than that", why)
            await self._link.hold(first(self._fold.adopted.wait(), (stop, self._fold.why)))
            log.info("the journal has a checkpoint that this process understands; going on there")
            raise _Adopted
        raise why

    async def _follow(self, consumer: Consumer) -> None:
        while True:
            for delivery in await consumer.drain():
                self._read(delivery)
            self._still_comes()
            await delivery.ack_all()

    def _still_comes(self) -> None:
        """Whoever waits for an entry may have to wait for all that is before it."""
        for limit in self._limits:
            if not limit.expired():
                limit.reschedule(asyncio.get_running_loop().time() + READ_SECONDS)

    def _observed(self, event: Event, changes: tuple[Change, ...]) -> None:
        self.changed(getattr(event, "server", None) or event.kind).set()
        if self._observe:
            self._observe(event, changes)

    async def _begins(self) -> None:
        """An entry that is there comes at once; a journal that ends before it brings nothing. Raises OtherJournal."""
        try:
            async with asyncio.timeout(RESUME_SECONDS):
                await self._link.hold(self._begun.wait())
        except TimeoutError:
            raise OtherJournal from None

    def _read(self, delivery: Delivery) -> None:
        self._begun.set()
        entry = str(delivery.headers.get(TELLING, delivery.message_id))
        changes = self._fold.take(Entry(Position(delivery.offset, entry), delivery.body, needs_of(delivery.headers)))
        if self.halted.is_set():
            return  # who waits for this entry is told so instead
        awaited = self._awaited.get(delivery.message_id)
        if awaited and not awaited.done():
            awaited.set_result(changes)


@asynccontextmanager
async def follow(
    link: Link,
    publisher: Publisher,
    clock: Clock,
    tag: str,
    memory: Memory,
    observe: Observer | None = None,
    stop: asyncio.Event | None = None,
) -> AsyncIterator[Journal]:
    """A journal caught up with, for as long as the block runs; `memory` says where to begin, and is kept up to date.

    `observe` is called with every event and what it changed, in order. When the reader ends, the link counts as lost:
    nobody may act on a board that stands still.

    Where only a newer version understands the journal, this waits for a checkpoint to go on at until `stop` is set;
    then, and at once without a `stop`, it raises NotUnderstood.
    """
    ahead = starts(memory, clock.now(), observed=observe is not None)
    async with AsyncExitStack() as stack:
        while True:
            journal = Journal(link, publisher, clock, next(ahead), memory, observe)
            try:
                await stack.enter_async_context(journal._reading(tag, stop))
                break
            except _Adopted:
                ahead = starts(memory, clock.now(), observed=observe is not None)
            except NoCheckpoint:
                continue
            except OtherJournal as fault:
                log.warning("%s", fault)
                memory.position = memory.seen = None
                ahead = starts(memory, clock.now(), observed=observe is not None)
        yield journal
