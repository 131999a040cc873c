"""Checkpoints: the board, written into the journal every hour, so that any process can start from it."""

import logging

from usher.broker.journal import Journal
from usher.core.checkpoints import TooLarge
from usher.core.errors import NotConfirmed
from usher.runtime.clock import Clock
from usher.runtime.tasks import until_first

log = logging.getLogger(__name__)

EVERY = 3600.0
"""Seconds between two checkpoints."""

PAUSE = 60.0
"""Seconds before a failed checkpoint is retried."""


async def write_checkpoints(journal: Journal, clock: Clock) -> None:
    """Until cancelled, write a checkpoint whenever the last one is an hour old, whoever wrote it. Raises LinkLost.

    A checkpoint is written at once when the board needs a lower journal version than an earlier entry did: readers
    that have halted can resume there.
    """
    while True:
        remaining = journal.checkpointed_at / 1000 + EVERY - clock.now() / 1000
        if remaining > 0 and not journal.lowered.is_set():
            await until_first(clock.sleep(min(remaining, EVERY)), journal.lowered.wait())
            continue
        try:
            await journal.checkpoint()
            await journal.barrier()
        except (NotConfirmed, TooLarge) as fault:
            log.warning("no checkpoint was written: %s", fault)
            await clock.sleep(PAUSE)
