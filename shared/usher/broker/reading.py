"""How the journal's entries become the board.

A reader goes on where it was, if the journal still has that entry; else from a checkpoint not long ago; else from the
first entry. It never takes a journal for another: after a loss an offset may be given a second time.

A reader halts at an entry that only a newer version understands (`usher.core.versions`). It goes on at a checkpoint
that covers that entry and that it understands.
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
    """Takes the journal's entries in order, and keeps the board in a memory.

    What is read from a time on is only kept until it is known where to begin. What is read from the first entry becomes
    the board at once; if the journal had been trimmed before that, its first checkpoint knows better.
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
        self._before: list[Entry] = []
        self._halted_at: int | None = None
        self.halted = asyncio.Event()
        self.adopted = asyncio.Event()
        self.lowered = asyncio.Event()
        self._demanding: Entry | None = None
        if start.adopts:
            assert memory.adopted is not None  # noqa: S101 - it is what the start was made of
            memory.board, memory.position = memory.adopted.board(clock.monotonic()), None
        elif not start.resumes:
            memory.board, memory.position = (Board() if start.first else None), None
        memory.halted = memory.adopted = None

    def take(self, entry: Entry) -> tuple[Change, ...]:
        """The next entry; gives what it changed on the board, if there is one yet. Raises OtherJournal or NoCheckpoint.

        Once `halted` is set nothing is folded any more.
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
            self._before.append(entry)
        return () if self._memory.board is None else self._fold(entry, self._memory.board, self._observe)

    def _was_read(self, entry: Entry) -> bool:
        """Whether that is the entry at which this reader left off. Raises OtherJournal or NoCheckpoint."""
        is_first, self._is_first = self._is_first, False
        if is_first and self.start.adopts and entry.position.offset != self.start.offset:
            raise NoCheckpoint  # the journal was trimmed meanwhile
        if is_first and self.start.first:
            self._trimmed = entry.position.offset > 0
        if self._expected and ((is_first and self.start.resumes) or entry.position.offset == self._expected.offset):
            if entry.position != self._expected:
                raise OtherJournal
            self._expected = None
        return is_first and self.start.resumes

    def settle(self) -> None:
        """All that was in the journal has been taken: begin. Raises NoCheckpoint or OtherJournal if that cannot be."""
        if self._memory.board is None:
            before, self._before = self._before, []
            board, through = self._beginning(before)
            self._memory.board = board
            seen = self._memory.seen.offset if self._memory.seen else -1
            self._memory.position = None
            for entry in before:
                if self._halted_at is not None:
                    self._look_for_checkpoint(entry, self._halted_at)
                elif entry.position.offset <= through:
                    self._memory.position = entry.position
                elif not self._halts(entry):
                    self._memory.position = entry.position
                    self._fold(entry, board, self._observe if entry.position.offset > seen else None)
        if self._expected and not self.halted.is_set():
            raise OtherJournal

    def _beginning(self, before: list[Entry]) -> tuple[Board, int]:
        """The board to begin with, and the offset of the last entry that is in it."""
        if not before:
            raise NoCheckpoint
        first = before[0].position.offset
        for entry in reversed(before):
            if found := entry.checkpoint():
                seen = self._memory.seen
                # everything after it has been read, and what an observer has to hear of comes after it
                if first <= found.through + 1 and (seen is None or found.through <= seen.offset):
                    return found.board(self._clock.monotonic()), found.through
        if first > 0:
            raise NoCheckpoint
        return Board(), -1

    def why(self) -> NotUnderstood:
        """Why the reader has halted."""
        assert self._memory.halted is not None  # noqa: S101 - set before the event is
        return NotUnderstood(**self._memory.halted.facts)

    def _halts(self, entry: Entry) -> bool:
        """Whether that entry is for newer readers only; then this one stands still."""
        if understands(entry.needs):
            return False
        self._halted_at = entry.position.offset
        self._memory.halted = NotUnderstood(
            what=f"entry {entry.position.offset} of the journal", needs=entry.needs, version=VERSION
        )
        self.halted.set()
        return True

    def _look_for_checkpoint(self, entry: Entry, halted_at: int) -> None:
        """Adopt the first checkpoint that covers the entry we halted at, and that we understand."""
        if self.adopted.is_set():
            return
        found = entry.checkpoint()
        if found and found.through >= halted_at:
            self._memory.adopted = found
            self.adopted.set()

    def _fold(self, entry: Entry, board: Board, observe: Observer | None) -> tuple[Change, ...]:
        says, changes = entry.says(), tuple[Change, ...]()
        if isinstance(says, Checkpoint):
            self.checkpointed_at = says.at
            if self._trimmed:
                self._restore(says)
        elif says is not None:
            changes = board.apply(says, now=self._clock.now(), read_at=self._clock.monotonic())
            if observe:
                observe(says, changes)
        self._compare(entry, board, says.through if isinstance(says, Checkpoint) else -1)
        return changes

    def _compare(self, entry: Entry, board: Board, through: int) -> None:
        """Set `lowered` if the last demanding entry needed more than the board, and no checkpoint covers it."""
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
        """Begin with that after all. What came before has been observed, as far as it could be understood."""
        before, self._before, self._trimmed = self._before, [], False
        if before[0].position.offset > checkpoint.through + 1:
            return
        self._memory.board = checkpoint.board(self._clock.monotonic())
        for entry in before:
            if entry.position.offset > checkpoint.through:
                self._fold(entry, self._memory.board, None)
