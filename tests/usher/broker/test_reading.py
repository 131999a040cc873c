"""Wherever a reader begins, it has the same board in the end. Without a broker."""

from collections.abc import Sequence
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from usher.broker.reading import Entry, Fold, Memory, NoCheckpoint, OtherJournal, Position, Start
from usher.core.board.board import Board
from usher.core.checkpoints import Checkpoint, encode_checkpoint
from usher.core.events import Barrier, DeployTaken, Event, MessagesWithdrawn, encode
from usher.core.issues import Issue
from usher.core.messages import BackMessage
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
"""A checkpoint is written after an event or not; between what it goes through and its own place are so many entries."""


def journal_of(told: Sequence[tuple[Event, int | None]]) -> list[Entry]:
    """The entries of a journal in which checkpoints stand, with their lag, where they are said to."""
    entries, boards = list[Entry](), [(-1, Board())]
    for event, lag in told:
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
    return server.open, running, server.fence, list(board.closed.items()), board.told


@given(st.lists(st.tuples(events, lags), min_size=1, max_size=30), st.integers(0, 40), st.integers(0, 40))
def test_wherever_a_reader_begins_it_has_the_same_board(
    told: list[tuple[Event, int | None]], late: int, left: int
) -> None:
    entries = journal_of(told)
    whole = facts(board_of(entries))
    try:
        assert facts(board_of(entries[late:], WINDOW)) == whole
    except NoCheckpoint:
        assert late > 0
    left, memory = min(left, len(entries) - 1), Memory()
    board_of(entries[: left + 1], memory=memory)
    assert facts(board_of(entries[left:], Start(left, resumes=True), memory)) == whole


def test_what_was_trimmed_from_the_journal_is_known_by_its_first_checkpoint() -> None:
    entries = journal_of([(message(1), None), (message(2), None), (withdrawn(1), 1), (message(3), None)])
    assert facts(board_of(entries[2:])) == facts(board_of(entries))


def test_a_journal_whose_entries_are_others_is_found_out() -> None:
    entries = journal_of([(message(1), None), (message(2), None)])
    with pytest.raises(OtherJournal):
        board_of(entries, WINDOW, Memory(seen=Position(1, "another")))
    with pytest.raises(OtherJournal):
        board_of(entries, WINDOW, Memory(seen=Position(99, "id99")))
    with pytest.raises(OtherJournal):
        board_of(entries[1:], Start(1, resumes=True), Memory(Board(), Position(1, "another")))
