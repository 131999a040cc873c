"""The wiring of the trackers service."""

import asyncio
import logging
import socket

from trackers.app import create_app
from trackers.door import Door
from usher.broker import topology
from usher.broker.link import Link, keep
from usher.broker.publisher import Publisher
from usher.clock import SystemClock
from usher.listening import listen
from usher.service import together
from usher.settings import Settings
from usher.web import serve_web

ABOUT = "The door of Usher: takes Jira's webhooks and front-end messages, and tells them to the broker."

log = logging.getLogger(__name__)


async def serve(settings: Settings, stop: asyncio.Event) -> None:
    """Take what comes in until `stop` is set. Raises UsherError for what a person has to mend first."""
    with listen(settings.trackers.host, settings.trackers.port, "trackers") as listening:
        await serve_on(listening, settings, stop)


async def serve_on(listening: socket.socket, settings: Settings, stop: asyncio.Event) -> None:
    """The same, on a socket that listens already."""
    door = Door(settings, SystemClock())
    closed = asyncio.Event()

    async def web() -> None:
        # the connection goes last: what has come in while we stop is still told
        try:
            await serve_web(create_app(door, settings.trackers.body_limit), listening, stop)
        finally:
            closed.set()

    async def session(link: Link) -> None:
        async with link.publishing.channel() as channel:
            await topology.declare(channel, settings.catalogue)
        door.publisher = await Publisher.open(link, "trackers")
        log.info("taking messages for %d servers", len(settings.catalogue))
        try:
            await link.hold(closed.wait())
        finally:
            door.publisher = None

    await together(stop, web(), keep(settings.broker, "trackers", session, closed))
