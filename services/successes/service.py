"""successes, wired: the ledger, the journal's follower, the reply queue, the HTTP API."""

import asyncio
import logging
from collections.abc import Coroutine

from successes.app import make_app
from successes.decisions import Decisions
from successes.follower import Follower
from successes.ledger import Ledger, LedgerFault
from successes.results import PREFETCH, Results
from successes.retention import keep_small
from usher.board import Board
from usher.broker import topology
from usher.broker.consumer import consume
from usher.broker.journal import follow
from usher.broker.link import Link, keep
from usher.broker.publisher import Publisher
from usher.broker.reading import Memory
from usher.clock import Clock, SystemClock
from usher.errors import BrokerError
from usher.listening import listen
from usher.service import together
from usher.settings import Settings
from usher.web import serve_web

log = logging.getLogger(__name__)

SERVICE = "successes"
ABOUT = "Takes the results of deploys, settles or parks what they covered, keeps the ledger, and shows the board."
LEDGER_PAUSE = 5.0


async def serve(settings: Settings, stop: asyncio.Event) -> None:
    """Run until `stop` is set. Raises ServiceError or BrokerError for what a person has to mend."""
    ledger = Ledger.open(settings.successes.ledger)
    try:
        service = Service(settings, ledger, stop, SystemClock())
        app = make_app(settings, ledger, lambda: service.board, service.ready)
        with listen(settings.successes.host, settings.successes.port, SERVICE) as listening:
            await together(
                stop,
                serve_web(app, listening, stop),
                keep(settings.broker, SERVICE, service.session, stop),
                keep_small(ledger, settings.successes.keep, SystemClock(), stop),
            )
    finally:
        ledger.close()


class Service:
    """`session` is one connection's life. `board` is the last one that was caught up with: one that stands still while
    there is no connection is still worth looking at, and `ready` says so."""

    def __init__(self, settings: Settings, ledger: Ledger, stop: asyncio.Event, clock: Clock) -> None:
        self.board: Board | None = None
        self._settings = settings
        self._ledger = ledger
        self._stop = stop
        self._clock = clock
        self._publisher: Publisher | None = None

    async def ready(self) -> bool:
        """Whether the journal is caught up with and the broker answers."""
        return self._publisher is not None and await self._publisher.can_publish()

    async def session(self, link: Link) -> None:
        """Follow the journal and take results until `stop` is set or the link is lost.

        Raises BrokerError only if it could not begin.
        """
        memory = Memory()
        follower = Follower(self._ledger, memory)
        try:
            await _until_first(follower.run(), self._work(link, memory, follower), self._stop_set())
        except LedgerFault as fault:
            # nothing of it was acked: it all comes again
            log.error("%s; trying again in %.0f s", fault, LEDGER_PAUSE)
            await _until_first(self._stop_set(), self._clock.sleep(LEDGER_PAUSE))
        finally:
            self._publisher = None

    async def _work(self, link: Link, memory: Memory, follower: Follower) -> None:
        channel = await link.publishing.channel()
        await topology.declare(channel, self._settings.catalogue, self._settings.retries.every_delay)
        await channel.close()
        publisher = await Publisher.open(link, SERVICE)
        async with follow(link, publisher, self._clock, "journal:successes", memory, follower.observe) as journal:
            await follower.caught_up()
            self.board, self._publisher = journal.board, publisher
            log.info("the journal is caught up with; the ledger is %s", self._ledger.path)
            decisions = Decisions(self._settings, journal, publisher, self._clock)
            try:
                async with consume(link, topology.RESULTS, "results", prefetch=PREFETCH) as consumer:
                    await Results(self._ledger, follower, journal, publisher, decisions).run(consumer)
            except BrokerError as fault:
                log.warning("%s", fault)

    async def _stop_set(self) -> None:
        await self._stop.wait()


async def _until_first(*parts: Coroutine[None, None, None]) -> None:
    """Run all parts until one ends, then cancel the others; raises what the ended one raised, in the parts' order."""
    tasks = [asyncio.create_task(part) for part in parts]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in tasks:
        if task in done:
            task.result()
