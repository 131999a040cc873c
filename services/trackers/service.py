"""The wiring of the trackers service."""

import asyncio
import logging
import socket

from trackers.door import Door
from trackers.http import create_app
from usher.broker import topology
from usher.broker.link import Link, keep
from usher.broker.publisher import Publisher
from usher.runtime.clock import Clock, SystemClock
from usher.runtime.listening import beyond_loopback, listen
from usher.runtime.tasks import together
from usher.settings import Settings
from usher.web.server import serve_web

PURPOSE = "The entrance to Usher: accepts Jira's webhooks and front-end messages, and publishes them."

UNPROTECTED = "set [jira] secret, and let a proxy publish /webhooks/ alone; or listen on 127.0.0.1"

log = logging.getLogger(__name__)


async def serve(settings: Settings, stop: asyncio.Event) -> None:
    """Accept requests until `stop` is set. Raises UsherError for problems that a person must fix first."""
    with listen(settings.trackers.host, settings.trackers.port, "trackers") as listening:
        await serve_on(listening, settings, stop)


async def serve_on(listening: socket.socket, settings: Settings, stop: asyncio.Event) -> None:
    """The same, on a socket that is already listening."""
    service = Trackers(settings, SystemClock())
    app = create_app(service.door, settings)
    if (address := beyond_loopback(listening)) and settings.jira.secret is None:
        log.warning("! everybody who can reach %s can trigger deploys: %s", address, UNPROTECTED)

    async def web() -> None:
        # close the connection last: requests that arrived before the stop are still published
        try:
            await serve_web(app, listening, stop)
        finally:
            service.closed.set()

    await together(stop, web(), keep(settings.broker, "trackers", service.session, service.closed))


class Trackers:
    """The door outlives a connection. Setting `closed` ends the session."""

    def __init__(self, settings: Settings, clock: Clock) -> None:
        self.door = Door(settings, clock)
        self.closed = asyncio.Event()
        self._settings = settings

    async def session(self, link: Link) -> None:
        """Accept messages on one connection until `closed` is set. Raises LinkLost."""
        await topology.declare(link, self._settings.catalogue)
        self.door.publisher = await Publisher.open(link, "trackers")
        log.info("accepting messages for %d servers", len(self._settings.catalogue))
        try:
            await link.hold(self.closed.wait())
        finally:
            self.door.publisher = None
