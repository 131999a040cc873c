"""Where a reader of the journal begins, and how entries become the board.

A reader goes on where it was, if the journal still has that entry; else from a checkpoint not long ago; else from the
first entry. It never takes a journal for another: after a loss an offset may be given a second time.
"""

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from usher.broker.port import Argument
from usher.core.board.board import Board
from usher.core.checkpoints import Checkpoint, decode_checkpoint, is_checkpoint
from usher.core.errors import BrokerError, Unreadable
from usher.core.events import Event, decode
from usher.core.states import Change
from usher.runtime.clock import Clock

log = logging.getLogger(__name__)

Observer = Callable[[Event, tuple[Change, ...]], None]

LOOK_BACK = (timedelta(minutes=90), timedelta(days=7))
"""How far back a checkpoint is looked for; they are written hourly, while there is somebody to write them."""


class OtherJournal(BrokerError):
    """the journal on the broker is not the one that was read before; it is read from its first entry"""


class NoCheckpoint(BrokerError):
    """the journal has no checkpoint to begin with in this part"""


@dataclass(frozen=True, slots=True)
class Position:
    """An entry of the journal: its offset, and what no other entry has: the id that it was published with."""

    offset: int
    entry: str


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry as it travelled."""

    position: Position
    body: bytes

    def says(self) -> Event | Checkpoint | None:
        """What it says; None if it cannot be read, which is logged."""
        try:
            return decode_checkpoint(self.body) if is_checkpoint(self.body) else decode(self.body)
        except Unreadable as fault:
            log.warning("passed over an entry of the journal: %s", fault)
            return None


@dataclass(slots=True)
class Memory:
    """What a process knows of the journal, whatever becomes of its connection.

    `position` is the last entry in `board`. `seen` is the last entry that an observer has heard of for good: without
    one it has to hear of all.
    """

    board: Board | None = None
    position: Position | None = None
    seen: Position | None = None


@dataclass(frozen=True, slots=True)
class Start:
    """Where the stream is read from: an argument of its consumer, and whether that is the first entry of all."""

    offset: Argument
    first: bool = False
    resumes: bool = False


def starts(memory: Memory, now: int, *, observed: bool) -> Iterator[Start]:
    """Where to begin, best first; the next is for when that one cannot be."""
    if memory.position:
        yield Start(memory.position.offset, resumes=True)
    if not observed or memory.seen:
        for span in LOOK_BACK:
            yield Start(datetime.fromtimestamp(now / 1000, UTC) - span)
    yield Start("first", first=True)


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
        self._resumes_at = memory.position if start.resumes else None
        self._expected = None if start.first or start.resumes else memory.seen
        self._trimmed = False
        self._before: list[Entry] = []
        if not start.resumes:
            memory.board, memory.position = (Board() if start.first else None), None

    def take(self, entry: Entry) -> tuple[Change, ...]:
        """The next entry; gives what it changed on the board, if there is one yet. Raises OtherJournal."""
        if self._resumes_at:
            if entry.position != self._resumes_at:
                raise OtherJournal
            self._resumes_at = None
            return ()
        if self._expected and entry.position.offset == self._expected.offset:
            if entry.position != self._expected:
                raise OtherJournal
            self._expected = None
        if self.start.first and self._memory.position is None:
            self._trimmed = entry.position.offset > 0
        self._memory.position = entry.position
        if self._memory.board is None or self._trimmed:
            self._before.append(entry)
        return () if self._memory.board is None else self._fold(entry, self._memory.board, self._observe)

    def settle(self) -> None:
        """All that was in the journal has been taken: begin. Raises NoCheckpoint or OtherJournal if that cannot be."""
        if self._memory.board is None:
            before, self._before = self._before, []
            board, through = self._beginning(before)
            self._memory.board = board
            seen = self._memory.seen.offset if self._memory.seen else -1
            for entry in before:
                if entry.position.offset > through:
                    self._fold(entry, board, self._observe if entry.position.offset > seen else None)
        if self._expected:
            raise OtherJournal

    def _beginning(self, before: list[Entry]) -> tuple[Board, int]:
        """The board to begin with, and the offset of the last entry that is in it."""
        if not before:
            raise NoCheckpoint
        first = before[0].position.offset
        for entry in reversed(before):
            if is_checkpoint(entry.body) and isinstance(found := entry.says(), Checkpoint):
                seen = self._memory.seen
                # everything after it has been read, and what an observer has to hear of comes after it
                if first <= found.through + 1 and (seen is None or found.through <= seen.offset):
                    return found.board(self._clock.monotonic()), found.through
        if first > 0:
            raise NoCheckpoint
        return Board(), -1

    def _fold(self, entry: Entry, board: Board, observe: Observer | None) -> tuple[Change, ...]:
        says = entry.says()
        if isinstance(says, Checkpoint):
            self.checkpointed_at = says.at
            if self._trimmed:
                self._restore(says)
            return ()
        if says is None:
            return ()
        changes = board.apply(says, now=self._clock.now(), read_at=self._clock.monotonic())
        if observe:
            observe(says, changes)
        return changes

    def _restore(self, checkpoint: Checkpoint) -> None:
        """Begin with that after all. What came before has been observed, as far as it could be understood."""
        before, self._before, self._trimmed = self._before, [], False
        if before[0].position.offset > checkpoint.through + 1:
            return
        self._memory.board = checkpoint.board(self._clock.monotonic())
        for entry in before:
            if entry.position.offset > checkpoint.through:
                self._fold(entry, self._memory.board, None)
