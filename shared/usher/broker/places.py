"""Places in the journal: entries, where a reader of it stands, and where it may begin."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from usher.broker.port import Argument
from usher.core.board.board import Board
from usher.core.checkpoints import Checkpoint, decode_checkpoint, is_checkpoint
from usher.core.errors import BrokerError, Unreadable
from usher.core.events import Event, decode
from usher.core.versions import NotUnderstood, understands

log = logging.getLogger(__name__)

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
    needs: int = 1

    def checkpoint(self) -> Checkpoint | None:
        """The checkpoint that it is, if it is one that we understand."""
        if not (is_checkpoint(self.body) and understands(self.needs)):
            return None
        found = self.says()
        return found if isinstance(found, Checkpoint) else None

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

    `position` is the last entry in `board`. `seen` is the last entry that an observer has recorded permanently: without
    one it has to hear of all. `halted` says why the reader stands still, if it does. `adopted` is the checkpoint at
    which it goes on.
    """

    board: Board | None = None
    position: Position | None = None
    seen: Position | None = None
    halted: NotUnderstood | None = None
    adopted: Checkpoint | None = None


@dataclass(frozen=True, slots=True)
class Start:
    """Where the stream is read from: an argument of its consumer, and whether that is the first entry of all, the last
    entry that was read, or the one after an adopted checkpoint."""

    offset: Argument
    first: bool = False
    resumes: bool = False
    adopts: bool = False


def starts(memory: Memory, now: int, *, observed: bool) -> Iterator[Start]:
    """Where to begin, best first; the next is for when that one cannot be."""
    if memory.adopted:
        yield Start(memory.adopted.through + 1, adopts=True)
    elif memory.position:
        yield Start(memory.position.offset, resumes=True)
    if not observed or memory.seen:
        for span in LOOK_BACK:
            yield Start(datetime.fromtimestamp(now / 1000, UTC) - span)
    yield Start("first", first=True)
