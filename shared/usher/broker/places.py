"""Places in the journal: its entries, a reader's position, and where a reader can start."""

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from usher.broker.port import Argument
from usher.core.board.board import Board
from usher.core.checkpoints import Checkpoint, Header, decode_checkpoint, header_of, is_checkpoint
from usher.core.errors import BrokerError, Unreadable
from usher.core.events import Event, decode
from usher.core.versions import NotUnderstood, understands

log = logging.getLogger(__name__)
T = TypeVar("T")

LOOK_BACK = (timedelta(minutes=90), timedelta(days=7))
"""How far back to look for a checkpoint. `successes` writes one every hour while it runs."""


class OtherJournal(BrokerError):
    """the journal on the broker differs from the one read before; reading from its first entry"""


class NoCheckpoint(BrokerError):
    """this part of the journal has no checkpoint to start from"""


@dataclass(frozen=True, slots=True)
class Position:
    """The position of an entry: its offset, and the unique id that it was published with."""

    offset: int
    entry: str


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry as it was delivered."""

    position: Position
    body: bytes
    needs: int = 1

    def checkpoint(self) -> Checkpoint | None:
        """The checkpoint in this entry, if it is one that this version understands."""
        return _readable(decode_checkpoint, self.body) if self.header() and understands(self.needs) else None

    def header(self) -> Header | None:
        """The header, if this is a checkpoint. It costs nothing, whatever the size of the checkpoint."""
        return header_of(self.body) if is_checkpoint(self.body) else None

    def event(self) -> Event | None:
        """The event in this entry, if it is one. Returns None and logs a warning if it cannot be read."""
        return _readable(decode, self.body)


def _readable(decoder: Callable[[bytes], T], body: bytes) -> T | None:
    try:
        return decoder(body)
    except Unreadable as fault:
        log.warning("skipped an unreadable entry of the journal: %s", fault)
        return None


@dataclass(slots=True)
class Memory:
    """What a process knows of the journal. It outlives the connections.

    `position` is the last entry in `board`. `seen` is the last entry that the observer has recorded permanently;
    without it, the observer needs every entry. `halted` is the reason if the reader has halted. `adopted` is the
    checkpoint at which it continues.
    """

    board: Board | None = None
    position: Position | None = None
    seen: Position | None = None
    halted: NotUnderstood | None = None
    adopted: Checkpoint | None = None


@dataclass(frozen=True, slots=True)
class Start:
    """Where to start reading: the offset for the stream's consumer, and whether that is the first entry (`first`), the
    last entry read (`resumes`), or the one after an adopted checkpoint (`adopts`)."""

    offset: Argument
    first: bool = False
    resumes: bool = False
    adopts: bool = False


def starts(memory: Memory, now: int, *, observed: bool) -> Iterator[Start]:
    """The possible starts, best first. Use the next one if a start turns out to be impossible."""
    if memory.adopted:
        yield Start(memory.adopted.through + 1, adopts=True)
    elif memory.position:
        yield Start(memory.position.offset, resumes=True)
    if not observed or memory.seen:
        for span in LOOK_BACK:
            yield Start(datetime.fromtimestamp(now / 1000, UTC) - span)
    yield Start("first", first=True)
