"""Where a reader of the journal begins, and how entries become the board.

A reader goes on where it was, if the journal still has that entry; else from a checkpoint not long ago; else from the
first entry. It never takes a journal for another: after a loss an offset may be given a second time.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from usher.board import Board
from usher.broker.consumer import Argument
from usher.checkpoints import Checkpoint
from usher.clock import Clock
from usher.errors import BrokerError
from usher.events import Event
from usher.states import Change

Observer = Callable[[Event, tuple[Change, ...]], None]

LOOK_BACK = (timedelta(hours=3), timedelta(days=7))
"""How far back a checkpoint is looked for; they are written hourly, while there is somebody to write them."""


class OtherJournal(BrokerError):
    """the journal on the broker is not the one that was read before; it is read from its first entry"""


class NoCheckpoint(BrokerError):
    """the journal has no checkpoint to begin with in this part"""


@dataclass(frozen=True, slots=True)
class Position:
    """An entry of the journal: its offset, and the id of the message that it is."""

    offset: int
    entry: str


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry as it was read: None is one that cannot be."""

    position: Position
    says: Event | Checkpoint | None


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
    """Takes the journal's entries in order, and keeps the board in a memory."""

    def __init__(self, start: Start, memory: Memory, clock: Clock, observe: Observer | None) -> None:
        self.start = start
        self._memory = memory
        self._clock = clock
        self._observe = observe
        self._resumed_at = memory.position if start.resumes else None
        self._first = start.first
        self._expected = None if start.first or start.resumes else memory.seen
        self._before: list[Entry] | None = None if start.resumes else []
        """What came before the first checkpoint; None once no checkpoint is needed any more."""
        if not start.resumes:
            memory.board, memory.position = (Board() if start.first else None), None
        self.checkpointed_at = 0

    def take(self, entry: Entry) -> tuple[Change, ...]:
        """The next entry; gives what it changed on the board, if there is one yet. Raises OtherJournal."""
        if self._resumed_at:
            if entry.position != self._resumed_at:
                raise OtherJournal
            self._resumed_at = None
            return ()
        if self._expected and entry.position.offset == self._expected.offset:
            if entry.position != self._expected:
                raise OtherJournal
            self._expected = None
        if self._first and self._before == [] and entry.position.offset == 0:
            self._before = None  # nothing has been trimmed: no checkpoint can say more
        changes: tuple[Change, ...] = ()
        if isinstance(entry.says, Checkpoint):
            self._checkpoint(entry.says)
        else:
            if self._before is not None:
                self._before.append(entry)
            if self._memory.board is not None:
                changes = self._apply(self._memory.board, entry, self._observe)
        self._memory.position = entry.position
        return changes

    def check(self) -> None:
        """All that was in the journal has been taken. Raises NoCheckpoint or OtherJournal if that is not enough."""
        if self._memory.board is None:
            raise NoCheckpoint
        if self._expected:
            raise OtherJournal

    def _checkpoint(self, checkpoint: Checkpoint) -> None:
        self.checkpointed_at = checkpoint.at
        if self._before is None or not self._fits(checkpoint, self._before):
            return
        later = [entry for entry in self._before if entry.position.offset > checkpoint.through]
        self._before = None
        # the first entries of a trimmed journal have been observed already, as far as they could be understood
        observe = None if self._memory.board is not None else self._observe
        board = checkpoint.board(self._clock.monotonic())
        for entry in later:
            self._apply(board, entry, observe)
        self._memory.board = board

    def _fits(self, checkpoint: Checkpoint, before: list[Entry]) -> bool:
        """Whether everything after it has been read, and what an observer has to hear of comes after it."""
        if before and before[0].position.offset > checkpoint.through + 1:
            return False
        seen = None if self._first else self._memory.seen
        return seen is None or checkpoint.through <= seen.offset

    def _apply(self, board: Board, entry: Entry, observe: Observer | None) -> tuple[Change, ...]:
        if entry.says is None or isinstance(entry.says, Checkpoint):
            return ()
        changes = board.apply(entry.says, now=self._clock.now(), read_at=self._clock.monotonic())
        if observe:
            observe(entry.says, changes)
        return changes
