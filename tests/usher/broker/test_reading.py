"""Folding the journal, without a broker: wherever a reader starts, it ends with the same board."""

from collections.abc import Sequence
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from usher.broker import places
from usher.broker.places import Entry, Memory, NoCheckpoint, OtherJournal, Position, Start, starts
from usher.broker.reading import Fold
from usher.core.board.board import Board
from usher.core.checkpoints import Checkpoint, encode_checkpoint
from usher.core.events import Barrier, DeployTaken, Event, MessagesWithdrawn, encode
from usher.core.issues import Issue
from usher.core.messages import BackMessage
from usher.core.states import State
from usher.core.versions import VERSION
from usher.runtime.clock import SystemClock

SERVER = "beta.abc.wwts.com"
FIRST = Start("first", first=True)
WINDOW = Start(datetime(2026, 1, 1, tzinfo=UTC))


def message(n: int) -> BackMessage:
    return BackMessage(
        id=f"{n:032x}", issue=Issue("ABC", n + 1), status="beta", server=SERVER, source="api", queued_at=0
    )


def withdrawn(n: int) -> MessagesWithdrawn:
    return MessagesWithdrawn(server=SERVER, messages=(f"{n:032x}",), by="me", at=0)


def taken(n: int) -> DeployTaken:
    return DeployTaken(
        deploy=f"{n:012x}", server=SERVER, holder="me", fence=n, messages=(f"{n:032x}",), taken_at=0
    )  # fmt: skip


numbers = st.integers(0, 20)
events = st.one_of(st.builds(message, numbers), st.builds(withdrawn, numbers), st.builds(taken, numbers))
lags = st.none() | st.integers(0, 5)
"""Whether an event is followed by a checkpoint, and how many entries before its own place the checkpoint ends."""


def journal_of(steps: Sequence[tuple[Event, int | None]]) -> list[Entry]:
    """The entries of a journal of these events, each followed by a checkpoint if it has a lag."""
    entries, boards = list[Entry](), [(-1, Board())]
    for event, lag in steps:
        entries.append(entry(len(entries), encode(event)))
        boards.append((entries[-1].position.offset, board_of(entries)))
        if lag is not None and (at := boards[max(0, len(boards) - 1 - lag)])[0] >= 0:
            checkpoint = encode_checkpoint(Checkpoint.of(at[1], through=at[0], at=0))
            entries.append(entry(len(entries), checkpoint))
    return [*entries, entry(len(entries), encode(Barrier(id="last")))]


def entry(offset: int, body: bytes) -> Entry:
    return Entry(Position(offset, f"id{offset}"), body)


def board_of(entries: Sequence[Entry], start: Start = FIRST, memory: Memory | None = None) -> Board:
    memory = memory or Memory()
    fold = Fold(start, memory, SystemClock(), None)
    for one in entries:
        fold.take(one)
    fold.settle()
    assert memory.board is not None
    return memory.board


def facts(board: Board) -> object:
    server = board.server(SERVER)
    running = server.running and (server.running.event, server.running.batch)
    return server.open, running, server.fence, list(board.closed.items()), board.received


@given(st.lists(st.tuples(events, lags), min_size=1, max_size=30), st.integers(0, 40), st.integers(0, 40))
def test_the_board_is_the_same_wherever_a_reader_starts(
    steps: list[tuple[Event, int | None]], late: int, left: int
) -> None:
    entries = journal_of(steps)
    whole = facts(board_of(entries))
    try:
        assert facts(board_of(entries[late:], WINDOW)) == whole
    except NoCheckpoint:
        assert late > 0
    left, memory = min(left, len(entries) - 1), Memory()
    board_of(entries[: left + 1], memory=memory)
    assert facts(board_of(entries[left:], Start(left, resumes=True), memory)) == whole


def test_the_first_checkpoint_replaces_the_trimmed_start_of_the_journal() -> None:
    entries = journal_of([(message(1), None), (message(2), None), (withdrawn(1), 1), (message(3), None)])
    assert facts(board_of(entries[2:])) == facts(board_of(entries))


def test_a_journal_with_different_entries_is_detected() -> None:
    entries = journal_of([(message(1), None), (message(2), None)])
    with pytest.raises(OtherJournal):
        board_of(entries, WINDOW, Memory(seen=Position(1, "another")))
    with pytest.raises(OtherJournal):
        board_of(entries, WINDOW, Memory(seen=Position(99, "id99")))
    with pytest.raises(OtherJournal):
        board_of(entries[1:], Start(1, resumes=True), Memory(Board(), Position(1, "another")))


def newer(offset: int) -> Entry:
    """An entry that only readers of the next version understand."""
    return Entry(Position(offset, f"id{offset}"), encode(Barrier(id="newer")), needs=VERSION + 1)


def checkpoint_of(entries: Sequence[Entry], offset: int, *, through: int, needs: int = 1) -> Entry:
    """A checkpoint at `offset`, written by a process that understands all entries before it."""
    known = [Entry(one.position, one.body) for one in entries if one.position.offset <= through]
    body = encode_checkpoint(Checkpoint.of(board_of(known), through=through, at=0))
    return Entry(Position(offset, f"id{offset}"), body, needs)


def read_on(entries: Sequence[Entry], memory: Memory) -> Fold:
    """Read as a process does: from the first possible start, and again from each adopted checkpoint."""
    candidates = starts(memory, 2**40, observed=True)
    while True:
        start = next(candidates)
        fold = Fold(start, memory, SystemClock(), None)
        try:
            for one in entries[start.offset if isinstance(start.offset, int) else 0 :]:
                fold.take(one)
            fold.settle()
        except NoCheckpoint:
            continue
        if not fold.adopted.is_set():
            return fold
        candidates = starts(memory, 2**40, observed=True)


def test_a_reader_halts_at_an_entry_for_newer_readers_and_says_why() -> None:
    memory = Memory()
    entries = [entry(0, encode(message(1))), newer(1), entry(2, encode(message(2)))]
    fold = read_on(entries, memory)
    assert fold.halted.is_set()
    assert memory.position == entries[0].position
    assert memory.board is not None
    assert memory.board.state(message(2).id) is None
    versions = f"journal version {VERSION + 1}; this one understands {VERSION}"
    assert f"entry 1 of the journal needs a newer Usher ({versions})" in str(memory.halted)


@pytest.mark.parametrize(
    ("through", "needs", "adopts"), [(1, 1, True), (2, VERSION, True), (0, 1, False), (2, VERSION + 1, False)]
)
def test_a_halted_reader_continues_at_a_checkpoint_that_it_understands_and_that_covers_the_entry(
    through: int, needs: int, adopts: bool
) -> None:
    memory = Memory()
    entries = [entry(0, encode(message(1))), newer(1), entry(2, encode(message(2)))]
    entries += [checkpoint_of(entries, 3, through=through, needs=needs), entry(4, encode(message(3)))]
    fold = read_on(entries, memory)
    assert fold.halted.is_set() != adopts
    assert memory.board is not None
    known = [memory.board.state(message(n).id) is not None for n in (1, 2, 3)]
    assert known == ([True] * 3 if adopts else [True, False, False])


def test_a_halted_reader_that_starts_again_halts_again_unless_there_is_such_a_checkpoint() -> None:
    memory = Memory()
    entries = [entry(0, encode(message(1))), newer(1)]
    read_on(entries, memory)
    assert read_on(entries, memory).halted.is_set()
    entries.append(checkpoint_of(entries, 2, through=1))
    assert not read_on(entries, memory).halted.is_set()


def test_an_adopted_checkpoint_is_not_used_if_the_journal_was_trimmed_beyond_it() -> None:
    entries = [entry(0, encode(message(1))), newer(1)]
    memory = Memory(adopted=Checkpoint.of(Board(), through=1, at=0))
    fold = Fold(next(starts(memory, 0, observed=True)), memory, SystemClock(), None)
    with pytest.raises(NoCheckpoint):
        fold.take(entry(7, entries[0].body))


@given(st.lists(st.tuples(events, lags, st.booleans()), min_size=1, max_size=30), st.none() | st.integers(0, 60))
def test_a_reader_that_halted_and_continued_has_the_same_board_as_one_that_understood_everything(
    steps: list[tuple[Event, int | None, bool]], seen: int | None
) -> None:
    entries = list[Entry]()
    for event, lag, needs_more in steps:
        entries.append(entry(len(entries), encode(event)))
        if needs_more:
            entries.append(newer(len(entries)))
        if lag is not None and (through := len(entries) - 1 - lag) >= 0:
            entries.append(checkpoint_of(entries, len(entries), through=through))
    entries.append(entry(len(entries), encode(Barrier(id="last"))))
    memory = Memory(seen=None if seen is None else entries[min(seen, len(entries) - 1)].position)
    fold = read_on(entries, memory)
    last_newer = max((one.position.offset for one in entries if one.needs > 1), default=-1)
    covered = any(found.through >= last_newer for one in entries if (found := one.checkpoint()))
    assert fold.halted.is_set() == (last_newer >= 0 and not covered)
    if not fold.halted.is_set():
        assert memory.board is not None
        assert facts(memory.board) == facts(board_of([Entry(one.position, one.body) for one in entries]))


def test_a_reader_that_has_a_board_does_not_decode_checkpoints(monkeypatch: pytest.MonkeyPatch) -> None:
    """Decoding a large one would stop everything else in the process for seconds."""
    memory, entries = Memory(), [entry(0, encode(message(1)))]
    fold = Fold(Start("first", first=True), memory, SystemClock(), None)
    monkeypatch.setattr(places, "decode_checkpoint", lambda body: pytest.fail("it was decoded"))
    for one in (*entries, checkpoint_of(entries, 1, through=0), entry(2, encode(message(2)))):
        fold.take(one)
    assert memory.board is not None
    assert [memory.board.state(message(n).id) for n in (1, 2)] == [State.WAITING, State.WAITING]


def test_a_checkpoint_from_the_future_counts_as_written_now() -> None:
    memory, entries = Memory(), [entry(0, encode(message(1)))]
    fold = Fold(Start("first", first=True), memory, SystemClock(), None)
    body = encode_checkpoint(Checkpoint.of(board_of(entries), through=0, at=10**14))
    for one in (*entries, Entry(Position(1, "id1"), body)):
        fold.take(one)
    assert fold.checkpointed_at <= SystemClock().now()
