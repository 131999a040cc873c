"""Reading the journal on a real broker: where a reader starts, and that this makes no difference to its board."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest

from newer import write_newer_fact
from usher.broker import topology
from usher.broker.journal import Journal, follow
from usher.broker.link import LinkLost, connect
from usher.broker.places import Memory, Position
from usher.broker.publisher import Publisher
from usher.broker.reading import Observer
from usher.core.board.board import Board
from usher.core.events import Event, MessagesWithdrawn
from usher.core.issues import Issue
from usher.core.messages import BackMessage
from usher.core.states import Change, State
from usher.runtime.clock import SystemClock
from usher.settings import Settings

Reading = Callable[..., AbstractAsyncContextManager[Journal]]


@pytest.fixture
def settings(make_settings: Callable[..., Settings]) -> Settings:
    return make_settings()


@pytest.fixture
def reading(settings: Settings) -> Reading:
    """Opens a reader of the journal on its own connection."""

    @asynccontextmanager
    async def reading(memory: Memory, observe: Observer | None = None) -> AsyncIterator[Journal]:
        async with connect(settings.broker, "test") as link:
            await topology.declare(link, settings.catalogue)
            publisher = await Publisher.open(link, "test")
            async with follow(link, publisher, SystemClock(), "test", memory, observe) as journal:
                yield journal

    return reading


class Seen:
    """An observer that records the messages that it sees."""

    def __init__(self) -> None:
        self.messages: list[str] = []

    def __call__(self, event: Event, changes: tuple[Change, ...]) -> None:
        self.messages += [event.id] if isinstance(event, BackMessage) else []


def message(n: int) -> BackMessage:
    return BackMessage(
        id=f"{n:032x}", issue=Issue("ABC", n), status="beta", server="beta.abc.wwts.com", source="api", queued_at=n
    )


def waiting(board: Board) -> list[int]:
    return [m.issue.number for m in board.server("beta.abc.wwts.com").waiting]


async def test_a_reader_resumes_where_it_was_and_observes_nothing_twice(reading: Reading) -> None:
    memory, seen = Memory(), Seen()
    async with reading(memory, seen) as journal:
        await journal.append(message(1))
        board = journal.board
    async with reading(Memory()) as other:
        await other.append(message(2))
    async with reading(memory, seen) as journal:
        assert journal.board is board
        assert waiting(board) == [1, 2]
    assert seen.messages == [message(1).id, message(2).id]


async def test_a_reader_whose_last_entry_has_changed_starts_from_the_first_entry(reading: Reading) -> None:
    memory = Memory()
    async with reading(memory) as journal:
        await journal.append(message(1))
    assert memory.position is not None
    memory.position = Position(memory.position.offset, "another")
    async with reading(memory) as journal:
        assert waiting(journal.board) == [1]


async def test_after_a_loss_a_message_re_published_at_its_old_offset_is_not_mistaken_for_the_old_entry(
    reading: Reading, settings: Settings
) -> None:
    memory = Memory()
    async with connect(settings.broker, "test") as link, reading(memory) as journal:
        changed = journal.changed(message(1).server)
        await (await Publisher.open(link, "test")).message(message(1))
        await changed.wait()
    assert memory.position is not None
    before = [message(n) for n in range(2, 2 + memory.position.offset)]
    async with connect(settings.broker, "test") as link:
        await (await link.consuming.channel(confirms=False)).delete_queue(topology.JOURNAL)
        await topology.declare(link, settings.catalogue)
        publisher = await Publisher.open(link, "test")
        for one in (*before, message(1)):
            await publisher.message(one)
    async with reading(memory) as journal:
        assert sorted(waiting(journal.board)) == [1, *(m.issue.number for m in before)]


async def test_a_reader_that_is_ahead_of_the_journal_starts_from_the_first_entry(
    reading: Reading, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("usher.broker.journal.RESUME_SECONDS", 0.2)
    memory = Memory()
    async with reading(memory) as journal:
        await journal.append(message(1))
    assert memory.position is not None
    memory.position = Position(memory.position.offset + 1000, memory.position.entry)
    async with reading(memory) as journal:
        assert waiting(journal.board) == [1]


async def test_a_new_reader_starts_at_a_checkpoint_and_misses_nothing(reading: Reading) -> None:
    async with reading(Memory()) as journal:
        await journal.append(message(1))
        await journal.append(message(2))
        await journal.append(MessagesWithdrawn(server=message(2).server, messages=(message(2).id,), by="me", at=0))
        await journal.checkpoint()
        await journal.append(message(3))
        whole = journal.board
    async with reading(Memory()) as journal:
        assert journal.checkpointed_at > 0
        assert (journal.board.servers, journal.board.closed) == (whole.servers, whole.closed)
        assert waiting(journal.board) == [1, 3]
        assert journal.board.state(message(2).id) is State.WITHDRAWN


async def test_an_observer_gets_everything_that_it_has_not_seen_despite_checkpoints(reading: Reading) -> None:
    async with reading(Memory()) as journal:
        await journal.checkpoint()
        await journal.append(message(1))
        seen = journal.position
        await journal.append(message(2))
        await journal.checkpoint()
        await journal.append(message(3))
    for known, wanted in ((seen, [2, 3]), (None, [1, 2, 3]), (Position(seen.offset, "another"), [1, 2, 3])):
        observed = Seen()
        async with reading(Memory(seen=known), observed) as journal:
            assert waiting(journal.board) == [1, 2, 3]
        assert [m for m in observed.messages if m in {message(n).id for n in wanted}][-len(wanted) :] == [
            message(n).id for n in wanted
        ]


async def test_appending_an_event_returns_its_changes(reading: Reading) -> None:
    async with reading(Memory()) as journal, reading(Memory()) as other:
        await journal.append(message(1))
        await other.barrier()
        gone = MessagesWithdrawn(server=message(1).server, messages=(message(1).id, message(2).id), by="me", at=0)
        assert await other.append(gone) == (Change(message(1).id, State.WITHDRAWN),)
        assert await journal.append(gone) == ()


@pytest.mark.slow
async def test_a_long_journal_is_read_to_its_end_however_long_it_takes(
    reading: Reading, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The time limit only applies while no entries arrive."""
    async with reading(Memory()) as other:
        for n in range(1, 61):
            await other.append(message(n))
    monkeypatch.setattr("usher.broker.journal.READ_SECONDS", 0.5)
    monkeypatch.setattr("usher.broker.journal.PREFETCH", 10)
    async with reading(Memory(), lambda event, changes: time.sleep(0.02)) as journal:
        assert len(waiting(journal.board)) == 60


async def test_leaving_the_journal_does_not_cost_the_connection(settings: Settings) -> None:
    async with connect(settings.broker, "test") as link:
        await topology.declare(link, settings.catalogue)
        publisher = await Publisher.open(link, "test")
        async with follow(link, publisher, SystemClock(), "test", Memory()):
            pass
        assert not link.lost.is_set()


async def test_a_halted_reader_whose_stream_is_deleted_gives_the_connection_up(settings: Settings) -> None:
    memory, stop = Memory(), asyncio.Event()
    async with connect(settings.broker, "test") as link, connect(settings.broker, "operator") as operator:
        await topology.declare(link, settings.catalogue)
        publisher = await Publisher.open(link, "test")
        await write_newer_fact(publisher)
        reading = follow(link, publisher, SystemClock(), "test", memory, stop=stop)
        entering = asyncio.create_task(reading.__aenter__())
        async with asyncio.timeout(20):
            while memory.halted is None:
                await asyncio.sleep(0.01)
            await (await operator.consuming.channel(confirms=False)).delete_queue(topology.JOURNAL)
            with pytest.raises(LinkLost):
                await entering
