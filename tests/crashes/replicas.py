"""Replicas: one of each service's places, in which a supervisor starts its program again whenever it has ended."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from crashes.clocks import SimulatedClock
from crashes.process import Life, Process
from deploys.runner import Guarded
from deploys.service import Deploys
from successes.ledger.retention import keep_small
from successes.orders.service import Orders
from successes.service import Service
from trackers.service import Trackers
from usher.broker.link import keep
from usher.core.errors import BrokerError
from usher.runtime.service import Stop
from usher.runtime.tasks import together

RESTART = 1.0
STOP_SECONDS = 40.0
"""After so long a supervisor kills what was told to stop."""


class Replica:
    """A place for one process of a service after the other, on a machine with a clock of its own."""

    def __init__(self, world: Any, name: str) -> None:
        self.name = name
        self.kind = name.partition("-")[0]
        self.clock = SimulatedClock(world.loop)
        self.process: Process | None = None
        self.service: Any = None
        self.orders: Orders | None = None
        self.serving = 0
        self.down = RESTART
        self._world = world
        self._stop: Callable[[], None] = lambda: None

    async def keep_up(self) -> None:
        """Start the program, again and again."""
        while True:
            process = self.process = self._world.new_process(self.name)
            self.down, self.serving = RESTART, 0
            self._world.history.note("started", who=str(process))
            main = process.run(self._main(process))
            main.add_done_callback(self._world.noted)
            await asyncio.wait((main, process.ended), return_when=asyncio.FIRST_COMPLETED)
            if not process.ended.done():
                self._world.history.note("exited", who=str(process))
            self.service = self.orders = None
            process.kill()
            await asyncio.sleep(self.down)

    def kill(self, down: float) -> None:
        """kill -9; started again after so long."""
        self.down = down
        if self.process and self.process.life is not Life.DEAD:
            self._world.history.note("killed", who=str(self.process))
            self.process.kill()

    def stop(self) -> None:
        """SIGTERM, and SIGKILL if that takes too long."""
        process = self.process
        if process and self.service is not None and process.life is not Life.DEAD and not process.stopping:
            process.stopping = True
            self._world.history.note("told to stop", who=str(process))
            process.run(_now(self._stop))
            self._world.later(STOP_SECONDS, lambda: self._lose_patience(process))

    def _lose_patience(self, process: Process) -> None:
        if self.process is process and process.life is not Life.DEAD:
            self._world.history.note("did not stop", who=str(process))
            self.kill(RESTART)

    async def _main(self, process: Process) -> None:
        try:
            await getattr(self, f"_{self.kind}")()
        except BrokerError as fault:
            # a person is there to read it at the first start; here a supervisor tries again
            self._world.history.note("gave up", who=str(process), why=str(fault))

    async def _deploys(self) -> None:
        world, stop = self._world, Stop()
        self._stop = stop.signal
        self.service = Deploys(world.settings, {}, stop, self.clock, Guarded(world.settings.deploys))
        await keep(world.settings.broker, "deploys", self.service.session, stop, world.dial_of(self))

    async def _successes(self) -> None:
        world, stop, ledger = self._world, Stop(), self._world.disk.open()
        self._stop = stop.signal
        self.service = Service(world.settings, ledger, stop, self.clock)
        self.orders = Orders(world.settings, ledger, stop, self.clock)
        await together(
            stop,
            keep(world.settings.broker, "successes", self.service.session, stop, world.dial_of(self)),
            keep(world.settings.broker, "successes:orders", self.orders.session, stop, world.dial_of(self)),
            keep_small(ledger, world.settings.successes.keep, self.clock, stop),
        )

    async def _trackers(self) -> None:
        world = self._world
        self.service = trackers = Trackers(world.settings, self.clock)
        draining: list[asyncio.Task[None]] = []

        async def drain() -> None:
            # what has come in while we stop is still told
            while self.serving:
                await asyncio.sleep(0.05)
            trackers.closed.set()

        self._stop = lambda: draining.append(asyncio.ensure_future(drain()))
        await keep(world.settings.broker, "trackers", trackers.session, trackers.closed, world.dial_of(self))


async def _now(do: Callable[[], None]) -> None:
    do()


Request = Callable[[Replica], Awaitable[str]]
