"""The wiring of the trackers service."""

import asyncio
import logging
import socket

from aiormq.exceptions import AMQPError

from trackers.app import create_app
from trackers.door import Door
from trackers.withdrawals import Withdrawals
from usher.broker import topology
from usher.broker.journal import follow
from usher.broker.link import Link, keep
from usher.broker.publisher import Publisher
from usher.broker.reading import Memory
from usher.clock import SystemClock
from usher.errors import BrokerError
from usher.listening import listen
from usher.service import together
from usher.settings import Settings
from usher.web import serve_web

ABOUT = "The door of Usher: takes Jira's webhooks and front-end messages, and tells them to the broker."

JOURNAL_PAUSE = 5.0

log = logging.getLogger(__name__)


async def serve(settings: Settings, stop: asyncio.Event) -> None:
    """Take what comes in until `stop` is set. Raises UsherError for what a person has to mend first."""
    with listen(settings.trackers.host, settings.trackers.port, "trackers") as listening:
        await serve_on(listening, settings, stop)


async def serve_on(listening: socket.socket, settings: Settings, stop: asyncio.Event) -> None:
    """The same, on a socket that listens already."""
    door, withdrawals = Door(settings, SystemClock()), Withdrawals(SystemClock())
    memory = Memory()
    closed = asyncio.Event()

    async def web() -> None:
        # the connection goes last: what has come in while we stop is still told
        try:
            await serve_web(
                create_app(door, withdrawals, settings.catalogue, settings.trackers.body_limit), listening, stop
            )
        finally:
            closed.set()

    async def declare(link: Link) -> None:
        async with link.publishing.channel() as channel:
            await topology.declare(channel, settings.catalogue)

    async def session(link: Link) -> None:
        await declare(link)
        door.publisher = publisher = await Publisher.open(link, "trackers")
        log.info("taking messages for %d servers", len(settings.catalogue))
        following = asyncio.create_task(follow_journal(link, publisher))
        try:
            await link.hold(closed.wait())
        finally:
            door.publisher = None
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)

    async def follow_journal(link: Link, publisher: Publisher) -> None:
        """As long as the link lasts, and again after whatever goes wrong: messages are taken without."""
        while True:
            try:
                await declare(link)
                await _read_journal(link, publisher, memory, withdrawals)
            except (AMQPError, BrokerError, OSError, RuntimeError) as fault:
                log.warning("messages cannot be withdrawn: %s; reading the journal again soon", fault)
            await asyncio.sleep(JOURNAL_PAUSE)

    await together(stop, web(), keep(settings.broker, "trackers", session, closed))


async def _read_journal(link: Link, publisher: Publisher, memory: Memory, withdrawals: Withdrawals) -> None:
    """Follow the journal for the withdrawals. Raises BrokerError when it cannot be read any more."""
    # on the same connections, but lost alone: a journal that cannot be read must not cost the link of what is taken
    own = Link(link.publishing, link.consuming, link.address, link.name)
    async with follow(own, publisher, SystemClock(), "journal:trackers", memory) as journal:
        withdrawals.journal = journal
        log.info("the journal is caught up with; messages can be withdrawn")
        try:
            await own.hold(asyncio.Event().wait())
        finally:
            withdrawals.journal = None
