"""Writes what a newer version could write: an entry that this version does not understand, and a checkpoint."""

import secrets
from typing import ClassVar

from usher.broker.journal import Journal
from usher.broker.publisher import Publisher
from usher.core.checkpoints import Checkpoint, encode_checkpoint
from usher.core.events import Barrier, DeployEnded
from usher.core.versions import VERSION


class NewerFact(Barrier):
    """A fact that needs a reader of the next journal version."""

    needs: ClassVar[int] = VERSION + 1


class NewerResult(DeployEnded):
    """A result that needs a reader of the next journal version."""

    needs: ClassVar[int] = VERSION + 1


async def write_newer_fact(publisher: Publisher) -> None:
    """Write an entry that halts every reader."""
    await publisher.event(NewerFact(id="newer"), secrets.token_hex(16))


async def write_covering_checkpoint(publisher: Publisher, halted: Journal, needs: int = 1) -> None:
    """Write a checkpoint that covers the entry at which that reader halted."""
    through = halted.position.offset + 1
    body = encode_checkpoint(Checkpoint.of(halted.board, through=through, at=0))
    await publisher.checkpoint(body, needs)
