"""The wiring of the deploys service."""

import asyncio
import logging
import os

from deploys.context import Context
from deploys.drain import Drain
from deploys.jobs import base_environment
from deploys.runner import Runner, make_runner
from deploys.unwritten import Unwritten
from deploys.worker import work
from usher.broker import topology
from usher.broker.journal import follow
from usher.broker.link import Link, keep
from usher.broker.publisher import Publisher
from usher.broker.reading import Memory
from usher.runtime.clock import Clock, SystemClock
from usher.runtime.listening import listen
from usher.runtime.service import Stop
from usher.runtime.tasks import beside, together
from usher.settings import Settings
from usher.settings.runnable import check_runnable
from usher.web.app import serve_web, web_app

log = logging.getLogger(__name__)


async def serve(settings: Settings, stop: Stop) -> str:
    """Take turns until `stop` is set; gives what finished and what was cut after that.

    Raises UsherError for what a person has to mend first.
    """
    environment = base_environment(settings.deploys, os.environ)
    check_runnable(settings.deploys, environment.get("PATH", os.defpath))
    if settings.deploys.rehearses:
        log.warning("no [deploys] command is set: deploys are rehearsed, nothing is run")
    service = Deploys(settings, environment, stop, SystemClock(), make_runner(settings.deploys))
    with listen(settings.deploys.host, settings.deploys.port, "deploys") as listening:
        app = web_app("Usher: deploys", service.ready)
        stopped = asyncio.Event()

        async def work_to_the_end() -> None:
            try:
                await keep(settings.broker, "deploys", service.session, stop)
            finally:
                stopped.set()

        try:
            # the page is there for as long as commands run
            await together(stop, serve_web(app, listening, stopped), work_to_the_end())
        finally:
            for deploy in service.unwritten.deploys():
                log.warning("! how deploy %s ended could not be written; its batch will be deployed again", deploy)
    return service.drain.last_words()


class Deploys:
    """What outlives a connection: the slots, the unwritten, and whether we are ready."""

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

    async def ready(self) -> bool:
        """Connected, the journal read, not stopping, and the broker answers."""
        if self._publisher is None or self.drain.stop.is_set():
            return False
        return await self._publisher.can_publish()

    async def session(self, link: Link) -> None:
        """One connection's life: declare, read the journal, work every server's queue."""
        await topology.declare(link, self._settings.catalogue)
        publisher = await Publisher.open(link, "deploys")
        async with follow(link, publisher, self._clock, "journal:deploys", self._memory) as journal:
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
            )
            self._publisher = publisher
            servers = self._settings.catalogue
            log.info("taking turns of %d servers, %d commands at a time", len(servers), self._settings.deploys.parallel)
            async with beside(self.drain.watch()):
                try:
                    # all of them to their end, whatever becomes of one: no command may outlive its session
                    await asyncio.gather(*(work(context, link, server) for server in servers), return_exceptions=True)
                finally:
                    self._publisher = None
