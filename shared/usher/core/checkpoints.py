"""Checkpoints: the whole board as one entry of the journal, so that a reader need not start at the first entry."""

import gzip
import re
import zlib
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import BaseModel, Field, TypeAdapter, ValidationError

from usher.core.board.board import Board
from usher.core.board.ordered import Ordered
from usher.core.board.orders import REMEMBERED
from usher.core.board.server import ServerBoard
from usher.core.errors import Unreadable
from usher.core.messages import Millis
from usher.core.states import State
from usher.core.versions import STORED

LARGEST = 15 * 1024 * 1024
"""The maximum size of a compressed checkpoint, in bytes. RabbitMQ 4 accepts 16 MiB."""

LARGEST_TEXT = 80 * 1024 * 1024
"""The maximum size of a decompressed checkpoint, in bytes. Even a forged one of this size is decoded within
seconds."""


class TooLarge(Unreadable):
    """the board is too large for a checkpoint ({size} bytes)"""


class Checkpoint(BaseModel):
    """The board after the entry at the offset `through`, written at `at` (ms).

    The journal can have other entries between that entry and the checkpoint. They are not in it.
    """

    model_config = STORED

    v: Literal[1] = 1
    kind: Literal["journal.checkpoint"] = "journal.checkpoint"
    at: Millis
    through: Annotated[int, Field(ge=0)]
    servers: dict[str, ServerBoard]
    closed: dict[str, State]
    received: dict[str, int]
    orders: dict[str, Ordered] = {}
    left_out: tuple[str, ...] = ()

    @classmethod
    def of(cls, board: Board, through: int, at: int) -> "Checkpoint":
        """A checkpoint of a board. It shares the board's parts, so encode it before the board changes.

        Completed orders that need a newer reader than the board does are left out: older readers cannot decode them.
        Only their ids stay, so that the same order is not given again.
        """
        needs, orders = board.needs, board.orders
        kept = {order: entry for order, entry in orders.entries.items() if entry.order.needs <= needs}
        left_out = (*orders.left_out, *(order for order in orders.entries if order not in kept))
        return cls.model_construct(
            at=at,
            through=through,
            servers=board.servers,
            closed=board.closed,
            received=board.received,
            orders=kept,
            left_out=left_out[-REMEMBERED:],
        )

    def board(self, read_at: float) -> Board:
        """Restore the board, for a reader whose monotonic clock shows `read_at` (s)."""
        for server in self.servers.values():
            server.read_again(read_at)
        return Board(self.servers, self.closed, self.received, self.orders, self.left_out)


_CHECKPOINT: TypeAdapter[Checkpoint] = TypeAdapter(Checkpoint)
_SERVERS: TypeAdapter[dict[str, ServerBoard]] = TypeAdapter(dict[str, ServerBoard])
_MAGIC = b"\x1f\x8b"
_HEADER = re.compile(rb'\{"v":1,"kind":"journal\.checkpoint","at":(\d{1,15}),"through":(\d{1,18}),')
HEADER_BYTES = 200
"""How much of a checkpoint's text contains its header."""


def encode_checkpoint(checkpoint: Checkpoint) -> bytes:
    """Encode a checkpoint as compressed JSON. Raises TooLarge."""
    # without defaults, a pending message takes 320 bytes instead of 440; other parts need their `kind`
    servers = _SERVERS.dump_json(checkpoint.servers, exclude_defaults=True)
    text = b'%b,"servers":%b}' % (_CHECKPOINT.dump_json(checkpoint, exclude={"servers"})[:-1], servers)
    # a higher level takes three times as long, and saves a sixth
    body = gzip.compress(text, compresslevel=1, mtime=0)
    if len(body) > LARGEST or len(text) > LARGEST_TEXT:
        raise TooLarge(size=len(body))
    return body


@dataclass(frozen=True, slots=True)
class Header:
    """When a checkpoint was written (ms), and the offset of the last entry that it includes."""

    at: int
    through: int


def header_of(body: bytes) -> Header | None:
    """The header of a checkpoint, without decoding the rest; None if there is none."""
    try:
        found = _HEADER.match(zlib.decompressobj(wbits=31).decompress(body, HEADER_BYTES))
    except zlib.error:
        return None
    return Header(int(found[1]), int(found[2])) if found else None


def is_checkpoint(body: bytes) -> bool:
    """Whether an entry of the journal is a checkpoint. Nothing else in the journal is compressed."""
    return body.startswith(_MAGIC)


def decode_checkpoint(body: bytes) -> Checkpoint:
    """Decode a checkpoint. Raises Unreadable."""
    try:
        unpack = zlib.decompressobj(wbits=31)
        text = unpack.decompress(body, LARGEST_TEXT)
        if unpack.unconsumed_tail:
            raise Unreadable(why=f"the checkpoint is larger than {LARGEST_TEXT} bytes")
        return _CHECKPOINT.validate_json(text)
    except (ValidationError, zlib.error) as error:
        raise Unreadable(why=f"it is not a checkpoint: {str(error).splitlines()[0]}") from None
