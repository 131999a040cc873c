"""Folds the journal's entries into the board.

A reader resumes at its last entry, if the journal still has it; otherwise at a recent checkpoint; otherwise at the
first entry. It checks that the journal is the same one as before, because offsets can be reused after a loss.

A reader halts at an entry that only a newer version understands (`usher.core.versions`). It continues at a checkpoint
that it understands and that covers this entry.
"""

import asyncio
from collections.abc import Callable

from usher.broker.places import Entry, Memory, NoCheckpoint, OtherJournal, Start
from usher.core.board.board import Board
from usher.core.checkpoints import Checkpoint
from usher.core.events import Event
from usher.core.states import Change
from usher.core.versions import VERSION, NotUnderstood, understands
from usher.runtime.clock import Clock

Observer = Callable[[Event, tuple[Change, ...]], None]


class Fold:
    """Takes the journal's entries in order, and keeps the board in `memory`.

    After a start at a point in time, entries are buffered until `settle` finds a checkpoint. After a start at the first
    entry, they are folded immediately. If the beginning of the journal was trimmed, its first checkpoint replaces the
    board.
    """

    def __init__(self, start: Start, memory: Memory, clock: Clock, observe: Observer | None) -> None:
        self.start = start
        self.checkpointed_at = 0
        self._memory = memory
        self._clock = clock
        self._observe = observe
        self._expected = memory.position if start.resumes else None if start.first or start.adopts else memory.seen
        self._is_first = True
        self._trimmed = False
        self._buffer: list[Entry] = []
        self._halted_at: int | None = None
        self.halted = asyncio.Event()
        self.adopted = asyncio.Event()
        self.lowered = asyncio.Event()
        self._demanding: Entry | None = None
        if start.adopts:
            assert memory.adopted is not None  # noqa: S101 - the start was made from it
            memory.board, memory.position = memory.adopted.board(clock.monotonic()), None
        elif not start.resumes:
            memory.board, memory.position = (Board() if start.first else None), None
        memory.halted = memory.adopted = None

    def take(self, entry: Entry) -> tuple[Change, ...]:
        """Take the next entry. Returns what it changed, if there is a board yet. Raises OtherJournal or NoCheckpoint.

        Once `halted` is set, no more entries are folded.
        """
        if self._halted_at is not None:
            self._look_for_checkpoint(entry, self._halted_at)
            return ()
        if self._was_read(entry):
            return ()
        if self._memory.board is not None and self._halts(entry):
            return ()
        self._memory.position = entry.position
        if self._memory.board is None or self._trimmed:
            self._buffer.append(entry)
        return () if self._memory.board is None else self._fold(entry, self._memory.board, self._observe)

    def _was_read(self, entry: Entry) -> bool:
        """Whether this is the entry that the reader read last. Raises OtherJournal or NoCheckpoint."""
        is_first, self._is_first = self._is_first, False
        if is_first and self.start.adopts and entry.position.offset != self.start.offset:
            raise NoCheckpoint  # the journal has been trimmed since
        if is_first and self.start.first:
            self._trimmed = entry.position.offset > 0
        if self._expected and ((is_first and self.start.resumes) or entry.position.offset == self._expected.offset):
            if entry.position != self._expected:
                raise OtherJournal
            self._expected = None
        return is_first and self.start.resumes

    def settle(self) -> None:
        """The reader has caught up: build the board if there is none. Raises NoCheckpoint or OtherJournal."""
        if self._memory.board is None:
            buffer, self._buffer = self._buffer, []
            board, through = self._first_board(buffer)
            self._memory.board = board
            seen = self._memory.seen.offset if self._memory.seen else -1
            self._memory.position = None
            for entry in buffer:
                if self._halted_at is not None:
                    self._look_for_checkpoint(entry, self._halted_at)
                elif entry.position.offset <= through:
                    self._memory.position = entry.position
                elif not self._halts(entry):
                    self._memory.position = entry.position
                    self._fold(entry, board, self._observe if entry.position.offset > seen else None)
        if self._expected and not self.halted.is_set():
            raise OtherJournal

    def _first_board(self, buffer: list[Entry]) -> tuple[Board, int]:
        """The board to start with, and the offset of the last entry in it."""
        if not buffer:
            raise NoCheckpoint
        first = buffer[0].position.offset
        for entry in reversed(buffer):
            seen, header = self._memory.seen, entry.header()
            # the buffer has everything after the checkpoint, and the observer has seen everything before it
            fits = header and first <= header.through + 1 and (seen is None or header.through <= seen.offset)
            if fits and (found := entry.checkpoint()):
                return found.board(self._clock.monotonic()), found.through
        if first > 0:
            raise NoCheckpoint
        return Board(), -1

    def why(self) -> NotUnderstood:
        """Why the reader has halted."""
        assert self._memory.halted is not None  # noqa: S101 - set before the event
        return NotUnderstood(**self._memory.halted.facts)

    def _halts(self, entry: Entry) -> bool:
        """Whether the entry is only for newer readers. Halts this one if it is."""
        if understands(entry.needs):
            return False
        self._halted_at = entry.position.offset
        self._memory.halted = NotUnderstood(
            what=f"entry {entry.position.offset} of the journal", needs=entry.needs, version=VERSION
        )
        self.halted.set()
        return True

    def _look_for_checkpoint(self, entry: Entry, halted_at: int) -> None:
        """Adopt the first checkpoint that this version understands and that covers the entry at `halted_at`."""
        if self.adopted.is_set():
            return
        header = entry.header()
        if header and header.through >= halted_at and (found := entry.checkpoint()):
            self._memory.adopted = found
            self.adopted.set()

    def _fold(self, entry: Entry, board: Board, observe: Observer | None) -> tuple[Change, ...]:
        header, changes = entry.header(), tuple[Change, ...]()
        if header:
            self.checkpointed_at = min(header.at, self._clock.now())
            # most checkpoints bring nothing new, and decoding a large one would take seconds
            if self._trimmed and (found := entry.checkpoint()):
                self._restore(found)
        elif event := entry.event():
            changes = board.apply(event, now=self._clock.now(), read_at=self._clock.monotonic())
            if observe:
                observe(event, changes)
        self._compare(entry, self._memory.board or board, header.through if header else -1)
        return changes

    def _compare(self, entry: Entry, board: Board, through: int) -> None:
        """Set `lowered` if the last entry with `needs` > 1 needed more than the board, and no checkpoint covers it."""
        if entry.needs > 1:
            self._demanding = entry
        demanding = self._demanding
        if demanding and through >= demanding.position.offset and entry.needs <= board.needs:
            demanding = self._demanding = None
        if demanding and board.needs < demanding.needs:
            self.lowered.set()
        else:
            self.lowered.clear()

    def _restore(self, checkpoint: Checkpoint) -> None:
        """Start from this checkpoint after all. The observer has already seen the entries before it."""
        buffer, self._buffer, self._trimmed = self._buffer, [], False
        if buffer[0].position.offset > checkpoint.through + 1:
            return
        self._memory.board = checkpoint.board(self._clock.monotonic())
        for entry in buffer:
            if entry.position.offset > checkpoint.through:
                self._fold(entry, self._memory.board, None)
