"""`python -m successes.ledger.rebuild`: make the ledger again from the journal.

The whole journal is read into a ledger of its own, which then goes into the real one in one transaction: every row that
the journal covers becomes what the journal says, and every other one stays. All that time the write lock is held, so a
`successes` that runs goes on reading, and writes what it has to write afterwards.
"""

import asyncio
import logging
import sys
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from pydantic import SecretStr

from successes.ledger.follower import Follower
from successes.ledger.ledger import Ledger
from successes.ledger.merge import Merged, merge
from usher.broker import topology
from usher.broker.journal import follow
from usher.broker.link import connect
from usher.broker.places import Memory
from usher.broker.publisher import Publisher
from usher.core.events import Event, MessagesRetried
from usher.core.messages import BackMessage
from usher.core.states import Change
from usher.runtime.clock import SystemClock
from usher.runtime.service import Stop, main
from usher.runtime.tasks import beside
from usher.settings import Settings

log = logging.getLogger(__name__)

ABOUT = "Makes the ledger again from the journal; rows that the journal no longer covers stay as they are."
SAY_EVERY = 5.0
"""Seconds between two lines that say how far it is."""


@dataclass(slots=True)
class Read:
    """What has been read of the journal: how many events, and the messages whose beginning was among them."""

    events: int = 0
    whole: set[str] = field(default_factory=set)

    def observe(self, event: Event) -> None:
        """Take in an event."""
        self.events += 1
        match event:
            case BackMessage():
                self.whole.add(event.id)
            case MessagesRetried():
                self.whole.update(retry.next.id for retry in event.retries)
            case _:
                pass


async def rebuild(settings: Settings) -> Merged:
    """Make the ledger again. Raises LedgerFault, ServiceError or BrokerError; then the ledger is as it was."""
    ledger = Ledger.open(settings.successes.ledger)
    try:
        # locked before the first entry is read: nothing that is newer than the journal's end gets in before the merge
        with ledger.writing() as connection, TemporaryDirectory(prefix="usher-") as folder:
            fresh = Ledger.open(SecretStr(f"sqlite:///{Path(folder, 'fresh.db')}"))
            try:
                read = Read()
                async with beside(_report(read)):
                    await _read(settings, fresh, read)
                log.info(
                    "all %s events of the journal are read; writing the ledger %s", f"{read.events:,}", ledger.path
                )
                with fresh.reading() as source:
                    return merge(source, connection, read.whole)
            finally:
                fresh.close()
    finally:
        ledger.close()


async def serve(settings: Settings, stop: Stop) -> str:
    """Rebuild, unless `stop` is set before the end: then nothing is changed."""
    working, stopped = asyncio.create_task(rebuild(settings)), asyncio.create_task(stop.wait())
    await asyncio.wait((working, stopped), return_when=asyncio.FIRST_COMPLETED)
    stopped.cancel()
    if not working.done():
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)
        return "the ledger is as it was"
    return str(working.result())


async def _read(settings: Settings, fresh: Ledger, read: Read) -> None:
    memory = Memory()
    follower = Follower(fresh, memory)

    def observe(event: Event, changes: tuple[Change, ...]) -> None:
        read.observe(event)
        follower.observe(event, changes)

    async with connect(settings.broker, "rebuild") as link:
        await topology.declare(link, settings.catalogue)
        publisher = await Publisher.open(link, "rebuild")
        async with (
            beside(follower.run()),
            follow(link, publisher, SystemClock(), "journal:rebuild", memory, observe),
        ):
            await follower.caught_up()


async def _report(read: Read) -> None:
    """Log the progress until cancelled."""
    while True:
        await asyncio.sleep(SAY_EVERY)
        log.info("%s events of the journal are read", f"{read.events:,}")


if __name__ == "__main__":
    sys.exit(main("successes.ledger.rebuild", ABOUT, serve))
