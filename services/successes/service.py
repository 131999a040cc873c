"""The wiring of the successes service: the ledger, the journal, the reply queue, the HTTP API."""

import asyncio
import logging
from datetime import timedelta

from successes.checkpoints import write_checkpoints
from successes.ledger.follower import Follower
from successes.ledger.ledger import Ledger, LedgerFault
from successes.ledger.retention import keep_small
from successes.orders.service import Orders
from successes.results import ignored, returns
from successes.results.cleaning import Cleaning
from successes.results.decisions import Decisions
from successes.results.results import PREFETCH, Results
from successes.results.returns import Returns
from successes.results.sweep import Heard, Sweep
from successes.web.app import make_app
from successes.web.unreadable import add_unreadable
from usher.broker import topology
from usher.broker.consumer import consume
from usher.broker.journal import Journal, follow
from usher.broker.link import Link, StartAgain, keep
from usher.broker.places import Memory
from usher.broker.publisher import Publisher
from usher.core.board.board import Board
from usher.core.errors import BrokerError
from usher.core.events import Event
from usher.core.states import Change
from usher.core.versions import NotUnderstood
from usher.runtime.clock import Clock, SystemClock
from usher.runtime.listening import beyond_loopback, listen
from usher.runtime.tasks import together, until_first
from usher.settings import Settings
from usher.web.readiness import unconfirmed
from usher.web.server import serve_web

log = logging.getLogger(__name__)

SERVICE = "successes"
PURPOSE = "Handles the results of deploys: retries or parks failed messages, keeps the ledger, and serves the API."
UNPROTECTED = "listen on 127.0.0.1, or put a proxy or a firewall in front of it"
PAUSE = 5.0
"""Seconds before retrying after an error of the ledger, or after something that needs a newer version."""


async def serve(settings: Settings, stop: asyncio.Event) -> None:
    """Run until `stop` is set. Raises ServiceError or BrokerError for problems that a person must fix."""
    ledger = Ledger.open(settings.successes.ledger)
    try:
        service = Service(settings, ledger, stop, SystemClock())
        orders = Orders(settings, ledger, stop, SystemClock())

        async def unready() -> str | None:
            return await service.unready() or await orders.unready()

        app = make_app(settings, ledger, lambda: service.board, orders.desk, unready)
        add_unreadable(app, service.cleaning.unreadable)
        with listen(settings.successes.host, settings.successes.port, SERVICE) as listening:
            if address := beyond_loopback(listening):
                log.warning("! everybody who can reach %s can read and order everything: %s", address, UNPROTECTED)
            await together(
                stop,
                serve_web(app, listening, stop),
                keep(settings.broker, SERVICE, service.session, stop),
                keep(settings.broker, f"{SERVICE}:orders", orders.session, stop),
                keep_small(ledger, settings.successes.keep, SystemClock(), stop),
            )
    finally:
        ledger.close()


class Service:
    """Handles results and keeps the ledger. The board outlives a session, which is one connection's life."""

    def __init__(self, settings: Settings, ledger: Ledger, stop: asyncio.Event, clock: Clock) -> None:
        self._settings = settings
        self._ledger = ledger
        self._stop = stop
        self._clock = clock
        self._memory = Memory()
        self._follower = Follower(ledger, self._memory)
        self.cleaning = Cleaning()
        self._heard = Heard()
        self._journal: Journal | None = None
        self._publisher: Publisher | None = None
        self._stood: Board | None = None
        self._not_understood: NotUnderstood | None = None

    @property
    def board(self) -> Board | None:
        """The last board that was read to the end of the journal; None if there is none yet.

        It stays available without a connection. `GET /ready` then says that it is out of date.
        """
        return self._journal.board if self._journal else self._stood

    async def unready(self) -> str | None:
        """Why results cannot be handled now; None if they can."""
        if why := self._not_understood or self._memory.halted:
            return str(why)
        return await unconfirmed(self._publisher)

    async def session(self, link: Link) -> None:
        """Follow the journal and do all work, until `stop` is set or the link is lost.

        Raises StartAgain if the ledger cannot be written, and BrokerError only if it cannot start.
        """
        try:
            await until_first(self._follower.run(), self._begin(link), self._stop_set())
        except LedgerFault as fault:
            # nothing was acked, so everything is redelivered
            log.error("%s; trying again in %.0f s", fault, PAUSE)
            await until_first(self._stop_set(), self._clock.sleep(PAUSE))
            raise StartAgain from None

    async def _begin(self, link: Link) -> None:
        await topology.declare(link, self._settings.catalogue, self._settings.retries.every_delay)
        publisher = await Publisher.open(link, SERVICE)
        while await self._follow(link, publisher):
            log.info("reading the journal again")

    async def _follow(self, link: Link, publisher: Publisher) -> bool:
        """Read the journal and do all work. Returns whether to read it again, because something was not understood."""
        self._follower.begin()
        if self._memory.position is None:
            self._memory.seen = await self._ledger.through()
        reading = follow(link, publisher, self._clock, "journal:successes", self._memory, self._observe, self._stop)
        async with reading as journal:
            await self._follower.caught_up()
            self._not_understood = None
            self.cleaning.begin(journal.board)
            self._heard.since = self._clock.now()
            self._journal, self._publisher = journal, publisher
            log.info("read the journal to its end; the ledger is %s", self._ledger.path)
            try:
                await self._work(link, journal, publisher)
            except NotUnderstood as fault:
                self._not_understood = fault
                log.error("%s. No results are handled until then", fault)
            except BrokerError as fault:
                log.warning("%s", fault)
            finally:
                self._stood, self._journal, self._publisher = self.board, None, None
        if self._not_understood:
            # it came from a queue, which can be faster than the journal
            await self._clock.sleep(PAUSE)
        return bool(self._not_understood or self._memory.halted)

    async def _work(self, link: Link, journal: Journal, publisher: Publisher) -> None:
        """Run all parts of a session until one of them ends."""
        settings, clock = self._settings, self._clock
        decisions = Decisions(settings, journal, publisher, clock)
        results = Results(self._ledger, self._follower, journal, publisher, decisions)
        servers, window = [server.name for server in settings.catalogue], settings.window.window()
        span, longest = (s // timedelta(milliseconds=1) for s in (settings.successes.sweep, settings.deploys.timeout))
        async with (
            consume(link, topology.RESULTS, "results", prefetch=PREFETCH) as resulting,
            consume(link, topology.RETURNS, "returns", prefetch=returns.PREFETCH) as returning,
            consume(link, topology.IGNORED, "ignored", prefetch=ignored.PREFETCH) as ignoring,
        ):
            await until_first(
                results.run(resulting),
                Returns(journal, publisher, clock).run(returning),
                ignored.record_ignored(ignoring, self._ledger),
                self.cleaning.run(link, journal),
                Sweep(publisher, decisions, self._heard, clock).run(journal, servers, window, span, longest),
                write_checkpoints(journal, clock),
                journal.halted.wait(),
            )

    def _observe(self, event: Event, changes: tuple[Change, ...]) -> None:
        assert self._memory.board is not None  # noqa: S101 - it is what the event changed
        self._follower.observe(event, changes)
        self.cleaning.observe(event, changes, self._memory.board)
        self._heard.observe(event, changes, self._clock.now())

    async def _stop_set(self) -> None:
        await self._stop.wait()
