"""The journal: follows the stream, keeps the board up to date, and writes entries and waits until they are read."""

import asyncio
import logging
import secrets
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import NoReturn

from usher.broker import topology
from usher.broker.acking import Acking
from usher.broker.changes import Changes
from usher.broker.consumer import Consumer, Delivery, consume
from usher.broker.link import Link, LinkLost
from usher.broker.places import Entry, Memory, NoCheckpoint, OtherJournal, Position, Start, starts
from usher.broker.publisher import FORMER_PUBLICATION, PUBLICATION, Publisher
from usher.broker.reading import Fold, Observer
from usher.core.board.board import Board
from usher.core.checkpoints import Checkpoint, encode_checkpoint
from usher.core.events import Barrier, Event
from usher.core.servers import Server
from usher.core.states import Change
from usher.core.versions import NotUnderstood, needs_of
from usher.runtime.clock import Clock
from usher.runtime.tasks import beside, end, first

log = logging.getLogger(__name__)


class _Adopted(Exception):
    """The reader continues at a checkpoint."""


PREFETCH = 2000
"""The broker sends at most this many entries ahead of the acks."""

READ_SECONDS = 30.0
RESUME_SECONDS = 5.0


class Journal:
    """The board as of the last entry read, and the only way to write entries."""

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
        self._changes = Changes()
        self._received = asyncio.Event()

    @property
    def board(self) -> Board:
        """The board."""
        assert self._memory.board is not None  # noqa: S101 - set once the reader has caught up
        return self._memory.board

    @property
    def position(self) -> Position:
        """The position of the last entry read."""
        assert self._memory.position is not None  # noqa: S101 - at least the barrier has been read
        return self._memory.position

    @property
    def halted(self) -> asyncio.Event:
        """Set at an entry that only a newer version understands. Nobody may act on the board then."""
        return self._fold.halted

    def why_halted(self) -> NotUnderstood:
        """The reason why it has halted."""
        return self._fold.why()

    @property
    def lowered(self) -> asyncio.Event:
        """Set while a checkpoint would let halted readers continue, because the board needs less than an entry did."""
        return self._fold.lowered

    @property
    def checkpointed_at(self) -> int:
        """When the last checkpoint that was read was written (ms). 0 if none was read."""
        return self._fold.checkpointed_at

    async def append(self, event: Event) -> tuple[Change, ...]:
        """Write an event (confirmed) and read up to it. Returns what it changed. Raises NotConfirmed or LinkLost.

        Raises NotUnderstood if the reader has halted. The event is in the journal then, but this process has not read
        it. If the stream confirms entries but delivers none for half a minute, it is stuck, and the link is given up.
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
        """Read everything that is in the journal now. Raises NotConfirmed or LinkLost."""
        await self.append(Barrier(id=secrets.token_hex(8)))

    async def checkpoint(self) -> None:
        """Write the whole board to the journal. Raises NotConfirmed, or TooLarge if it does not fit into an entry."""
        board = self.board
        body = encode_checkpoint(Checkpoint.of(board, self.position.offset, self._clock.now()))
        await self._publisher.checkpoint(body, board.needs)

    def changed(self, what: str) -> asyncio.Event:
        """An event that is set after each entry about a server (or another thing: see Changes). Who waits clears it."""
        return self._changes.about(what)

    def held(self, server: Server) -> asyncio.Event:
        """An event that is set for as long as a hold stops that server and none of its deploys is unfinished."""
        return self._changes.held(server, self.board)

    @asynccontextmanager
    async def _reading(self, tag: str, stop: asyncio.Event | None) -> AsyncIterator[None]:
        """Read from the start position to the current end of the journal, then follow it while the block runs."""
        arguments = {"x-stream-offset": self._fold.start.offset}
        async with consume(self._link, topology.JOURNAL, tag, prefetch=PREFETCH, arguments=arguments) as consumer:
            reader = asyncio.create_task(self._follow(consumer))
            caught_up = asyncio.create_task(self.barrier())
            try:
                if self._fold.start.resumes:
                    await self._first_entry()
                await asyncio.wait((reader, caught_up), return_when=asyncio.FIRST_COMPLETED)
                if reader.done() and reader.exception():
                    reader.result()
                if not self.halted.is_set():
                    await caught_up
                    self._fold.settle()
                if self.halted.is_set():
                    await self._until_adopted(stop, reader)
                reader.add_done_callback(self._lose)
                yield
            finally:
                reader.remove_done_callback(self._lose)
                await end(reader, caught_up)

    def _lose(self, _: object) -> None:
        """The reader has ended by itself, and the board stands still."""
        self._link.lost.set()

    async def _until_adopted(self, stop: asyncio.Event | None, reader: "asyncio.Task[None]") -> NoReturn:
        """Wait until there is a checkpoint to continue at (raises _Adopted) or `stop` is set (raises NotUnderstood).

        Raises LinkLost if the reader ends meanwhile.
        """
        why = self._fold.why()
        if stop:
            log.error("%s. Until then, or until there is a checkpoint that it understands, it does nothing", why)
            ended = asyncio.Event()
            reader.add_done_callback(lambda _: ended.set())
            await self._link.hold(first(self._fold.adopted.wait(), (stop, self._fold.why), (ended, LinkLost)))
            log.info("the journal has a checkpoint that this process understands; continuing there")
            raise _Adopted
        raise why

    async def _follow(self, consumer: Consumer) -> None:
        acking = Acking()
        async with beside(acking.run()) as running:
            running.add_done_callback(lambda _: consumer.lost.set())
            while True:
                for delivery in await consumer.drain():
                    self._read(delivery)
                self._extend_limits()
                acking.note(delivery)

    def _extend_limits(self) -> None:
        """Entries are arriving, so give everyone who waits for an entry more time."""
        for limit in self._limits:
            if not limit.expired():
                limit.reschedule(asyncio.get_running_loop().time() + READ_SECONDS)

    def _observed(self, event: Event, changes: tuple[Change, ...]) -> None:
        self._changes.note(event, self.board)
        if self._observe:
            self._observe(event, changes)

    async def _first_entry(self) -> None:
        """Wait for the first entry. Raises OtherJournal if none arrives, because the journal ends before it."""
        try:
            async with asyncio.timeout(RESUME_SECONDS):
                await self._link.hold(self._received.wait())
        except TimeoutError:
            raise OtherJournal from None

    def _read(self, delivery: Delivery) -> None:
        self._received.set()
        publication = delivery.headers.get(PUBLICATION) or delivery.headers.get(FORMER_PUBLICATION)
        entry = str(publication or delivery.message_id)
        changes = self._fold.take(Entry(Position(delivery.offset, entry), delivery.body, needs_of(delivery.headers)))
        if self.halted.is_set():
            return  # those who wait for this entry get NotUnderstood
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
    """Read the journal to its end, then follow it while the block runs. `memory` says where to start, and is updated.

    `observe` is called with every event and its changes, in order. When the reader ends, the link counts as lost,
    because nobody may act on an outdated board.

    If only a newer version understands the journal, this waits for a checkpoint to continue at, until `stop` is set.
    Then, or immediately without a `stop`, it raises NotUnderstood.
    """
    candidates = starts(memory, clock.now(), observed=observe is not None)
    async with AsyncExitStack() as stack:
        while True:
            journal = Journal(link, publisher, clock, next(candidates), memory, observe)
            try:
                await stack.enter_async_context(journal._reading(tag, stop))
                break
            except _Adopted:
                candidates = starts(memory, clock.now(), observed=observe is not None)
            except NoCheckpoint:
                continue
            except OtherJournal as fault:
                log.warning("%s", fault)
                memory.position = memory.seen = None
                candidates = starts(memory, clock.now(), observed=observe is not None)
        yield journal
