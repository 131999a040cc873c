"""The wiring of the deploys service."""

import asyncio
import logging
import os
from pathlib import Path

from deploys.cleaning import keep_clean
from deploys.context import Context
from deploys.drain import Drain
from deploys.former import retire
from deploys.jobs import base_environment
from deploys.runner import Runner, make_runner
from deploys.unfinished import keep_looking
from deploys.unwritten import Unwritten
from deploys.worker import work
from usher.broker import topology
from usher.broker.expiry import expire_holds
from usher.broker.journal import Journal, follow
from usher.broker.link import Link, keep
from usher.broker.places import Memory
from usher.broker.publisher import Publisher
from usher.runtime.clock import Clock, SystemClock
from usher.runtime.listening import listen
from usher.runtime.locks import FileLocks, StillRunning
from usher.runtime.private import close_own_folder
from usher.runtime.service import Stop
from usher.runtime.tasks import beside, together
from usher.settings import Settings
from usher.settings.runnable import check_runnable, unkillable
from usher.web.app import web_app
from usher.web.page import About
from usher.web.readiness import STOPPING, unconfirmed
from usher.web.server import serve_web

ABOUT = About(
    "deploys",
    "Takes servers' turns, and runs one deploy command at a time per server.",
    commands=(
        ("usher servers", "what is pending, and when it deploys"),
        ("usher history", "what has been deployed"),
        ("usher show DEPLOY", "what a deploy ran and printed"),
    ),
)

log = logging.getLogger(__name__)


async def serve(settings: Settings, stop: Stop) -> str:
    """Take turns until `stop` is set. Returns which deploys finished after that, and which were killed.

    Raises UsherError if a person has to fix something first, and StillRunning if a command could not be killed.
    """
    environment = base_environment(settings, os.environ)
    check_runnable(settings.deploys, environment.get("PATH", os.defpath))
    if settings.deploys.rehearses:
        log.warning("no [deploys] command is set: deploys are only rehearsed")
    if why := unkillable(settings.deploys, environment.get("PATH", os.defpath)):
        log.warning("! [deploys] %s; docs/command.md says how to do without", why)
    close_own_folder(Path(settings.deploys.logs))
    service = Deploys(settings, environment, stop, SystemClock(), make_runner(settings.deploys))
    with listen(settings.deploys.host, settings.deploys.port, "deploys") as listening:
        app = web_app(ABOUT, settings, service.unready)
        stopped = asyncio.Event()

        async def take_turns() -> None:
            try:
                await keep(settings.broker, "deploys", service.session, stop)
            finally:
                stopped.set()

        try:
            async with beside(keep_clean(settings.deploys, SystemClock())):
                # serve the page until the last command has ended
                await together(stop, serve_web(app, listening, stopped), take_turns())
        finally:
            for deploy in service.unwritten.deploys():
                log.warning("! the outcome of deploy %s could not be written; its batch will be deployed again", deploy)
    if stuck := [one for one in FileLocks(Path(settings.deploys.logs)).held() if one[1].pids]:
        log.warning("! stopped: %s", service.drain.summary())
        raise StillRunning.of(stuck)
    return service.drain.summary()


class Deploys:
    """What outlives a connection: the slots, the unwritten outcomes, and the readiness."""

    def __init__(
        self, settings: Settings, environment: dict[str, str], stop: Stop, clock: Clock, runner: Runner
    ) -> None:
        self._settings = settings
        self._environment = environment
        self._clock = clock
        self._runner = runner
        self._slots = asyncio.Semaphore(settings.deploys.parallel)
        self.unwritten = Unwritten()
        self._memory = Memory()
        self.drain = Drain(stop, settings.deploys.drain.total_seconds())
        self._publisher: Publisher | None = None
        self._troubles: dict[str, str] = {}

    async def unready(self) -> str | None:
        """Why no turn can be taken now; None if turns can be taken."""
        if self.drain.stop.is_set():
            return STOPPING
        if self._memory.halted:
            return str(self._memory.halted)
        if why := await unconfirmed(self._publisher):
            return why
        return next((f"{server}: {trouble}" for server, trouble in self._troubles.items()), None)

    async def session(self, link: Link) -> None:
        """Work on one connection: declare the topology, follow the journal, and take every server's turns."""
        await topology.declare(link, self._settings.catalogue, self._settings.retries.every_delay)
        publisher = await Publisher.open(link, "deploys")
        stop = self.drain.stop
        while not (link.lost.is_set() or stop.is_set()):
            # after a halt, follow the journal again: it may be understood by now
            async with follow(link, publisher, self._clock, "journal:deploys", self._memory, stop=stop) as journal:
                await self._work(link, publisher, journal)

    async def _work(self, link: Link, publisher: Publisher, journal: Journal) -> None:
        """Take every server's turns while the link holds and the journal is understood, until Usher stops."""
        context = Context(
            settings=self._settings,
            journal=journal,
            publisher=publisher,
            runner=self._runner,
            clock=self._clock,
            slots=self._slots,
            unwritten=self.unwritten,
            drain=self.drain,
            holder=link.name,
            environment=self._environment,
            troubles=self._troubles,
        )
        self._publisher = publisher
        servers = self._settings.catalogue
        log.info(
            "taking turns for %d servers, at most %d commands at a time", len(servers), self._settings.deploys.parallel
        )
        self._troubles.clear()
        await retire(link, journal.board, servers)
        declaring = topology.keep_declared(link, servers, self._settings.retries.every_delay, self._clock)
        expiring = expire_holds(journal, self._clock)
        async with beside(self.drain.watch()), beside(declaring), beside(keep_looking(context)), beside(expiring):
            try:
                # wait for every worker even if one fails: no command may outlive its session
                await asyncio.gather(*(work(context, link, server) for server in servers), return_exceptions=True)
            finally:
                self._publisher = None
