"""The wiring of the trackers service."""

import asyncio
import logging
import socket

from trackers.door import Door
from trackers.http import create_app
from trackers.withdrawals import Withdrawals
from usher.broker import topology
from usher.broker.journal import follow
from usher.broker.link import Link, keep
from usher.broker.places import Memory
from usher.broker.publisher import Publisher
from usher.core.errors import BrokerError
from usher.runtime.clock import Clock, SystemClock
from usher.runtime.listening import listen
from usher.runtime.tasks import beside, together
from usher.settings import Settings
from usher.web.app import serve_web

ABOUT = "The door of Usher: takes Jira's webhooks and front-end messages, and tells them to the broker."

JOURNAL_PAUSE = 5.0

log = logging.getLogger(__name__)


async def serve(settings: Settings, stop: asyncio.Event) -> None:
    """Take what comes in until `stop` is set. Raises UsherError for what a person has to mend first."""
    with listen(settings.trackers.host, settings.trackers.port, "trackers") as listening:
        await serve_on(listening, settings, stop)


async def serve_on(listening: socket.socket, settings: Settings, stop: asyncio.Event) -> None:
    """The same, on a socket that listens already."""
    service = Trackers(settings, SystemClock())
    app = create_app(service.door, service.withdrawals, settings.catalogue, settings.trackers.body_limit)

    async def web() -> None:
        # the connection goes last: what has come in while we stop is still told
        try:
            await serve_web(app, listening, stop)
        finally:
            service.closed.set()

    await together(stop, web(), keep(settings.broker, "trackers", service.session, service.closed))


class Trackers:
    """The door and the withdrawals, which outlive a connection; `closed` ends the session."""

    def __init__(self, settings: Settings, clock: Clock) -> None:
        self.door = Door(settings, clock)
        self.withdrawals = Withdrawals(clock)
        self.closed = asyncio.Event()
        self._settings = settings
        self._clock = clock
        self._memory = Memory()

    async def session(self, link: Link) -> None:
        """One connection's life: take messages until `closed`. Raises LinkLost."""
        await topology.declare(link, self._settings.catalogue)
        self.door.publisher = publisher = await Publisher.open(link, "trackers")
        log.info("taking messages for %d servers", len(self._settings.catalogue))
        async with beside(self._follow_journal(link, publisher)):
            try:
                await link.hold(self.closed.wait())
            finally:
                self.door.publisher = None

    async def _follow_journal(self, link: Link, publisher: Publisher) -> None:
        """As long as the link lasts, and again after whatever goes wrong: messages are taken without."""
        while True:
            try:
                await topology.declare(link, self._settings.catalogue)
                await self._read_journal(link, publisher)
            except BrokerError as fault:
                log.warning("messages cannot be withdrawn: %s; reading the journal again soon", fault)
            await self._clock.sleep(JOURNAL_PAUSE)

    async def _read_journal(self, link: Link, publisher: Publisher) -> None:
        """Follow the journal for the withdrawals. Raises BrokerError when it cannot be read any more."""
        # on the same connections, but lost alone: a journal that cannot be read must not cost the link of what is taken
        own = Link(link.publishing, link.consuming, link.address, link.name)
        async with follow(own, publisher, self._clock, "journal:trackers", self._memory) as journal:
            self.withdrawals.journal = journal
            log.info("the journal is caught up with; messages can be withdrawn")
            try:
                await own.hold(asyncio.Event().wait())
            finally:
                self.withdrawals.journal = None
