"""`python -m successes.ledger.rebuild`: rebuild the ledger from the journal.

The whole journal is read into a temporary ledger, which is then merged into the real one in one transaction. Rows that
the journal covers are replaced, all others are kept. The write lock is held all the time: a running `successes` can
still read, and writes after the rebuild.
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
from usher.core.events import DeployEnded, Event, MessagesRetried
from usher.core.messages import BackMessage
from usher.core.states import Change
from usher.runtime.clock import SystemClock
from usher.runtime.service import Stop, main
from usher.runtime.tasks import beside
from usher.settings import Settings

log = logging.getLogger(__name__)

PURPOSE = "Rebuilds the ledger from the journal; rows that the journal no longer covers are kept."
REPORT_EVERY = 5.0
"""Seconds between two progress reports."""


@dataclass(slots=True)
class Read:
    """Progress: how many events have been read, and the messages whose first event was among them.

    The messages in `older` had a result first: the journal no longer has their first event, and what looks like it was
    re-published.
    """

    events: int = 0
    whole: set[str] = field(default_factory=set)
    older: set[str] = field(default_factory=set)

    def observe(self, event: Event) -> None:
        """Count an event."""
        self.events += 1
        match event:
            case BackMessage() if event.id not in self.older:
                self.whole.add(event.id)
            case DeployEnded():
                self.older.update({message.id for message in event.standing} - self.whole)
            case MessagesRetried():
                self.whole.update(retry.next.id for retry in event.retries)
            case _:
                pass


async def rebuild(settings: Settings) -> Merged:
    """Rebuild the ledger. Raises LedgerFault, ServiceError or BrokerError; the ledger is then unchanged."""
    ledger = Ledger.open(settings.successes.ledger)
    try:
        # locked before the first entry is read: nothing newer than the journal's end may be written before the merge
        with ledger.writing() as connection, TemporaryDirectory(prefix="usher-") as folder:
            fresh = Ledger.open(SecretStr(f"sqlite:///{Path(folder, 'fresh.db')}"))
            try:
                read = Read()
                async with beside(_report(read)):
                    await _read(settings, fresh, read)
                log.info("read all %s events of the journal; writing the ledger %s", f"{read.events:,}", ledger.path)
                with fresh.reading() as source:
                    return merge(source, connection, read.whole)
            finally:
                fresh.close()
    finally:
        ledger.close()


async def serve(settings: Settings, stop: Stop) -> str:
    """Rebuild. If `stop` is set before the end, nothing is changed."""
    working, stopped = asyncio.create_task(rebuild(settings)), asyncio.create_task(stop.wait())
    await asyncio.wait((working, stopped), return_when=asyncio.FIRST_COMPLETED)
    stopped.cancel()
    if not working.done():
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)
        return "stopped; the ledger is unchanged"
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
        await asyncio.sleep(REPORT_EVERY)
        log.info("read %s events of the journal", f"{read.events:,}")


if __name__ == "__main__":
    sys.exit(main("successes.ledger.rebuild", PURPOSE, serve))
