"""Checkpoints: the board is written into the journal hourly, so that any process can start from there."""

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
"""Seconds before one that did not come off is tried again."""


async def write_checkpoints(journal: Journal, clock: Clock) -> None:
    """Write a checkpoint whenever the last one, whoever wrote it, is an hour old, until cancelled. Raises LinkLost.

    At once when the board needs less of its readers than an entry before did: those that halted can go on from there.
    """
    while True:
        left = journal.checkpointed_at / 1000 + EVERY - clock.now() / 1000
        if left > 0 and not journal.lowered.is_set():
            await until_first(clock.sleep(min(left, EVERY)), journal.lowered.wait())
            continue
        try:
            await journal.checkpoint()
            await journal.barrier()
        except (NotConfirmed, TooLarge) as fault:
            log.warning("no checkpoint was written: %s", fault)
            await clock.sleep(PAUSE)
