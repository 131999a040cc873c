"""Replicas: a supervisor that starts a service, and starts it again whenever it has ended."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from crashes.clocks import SimulatedClock
from crashes.guards import SimulatedLocks
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
"""Seconds after which a supervisor kills a process that was told to stop."""


class Replica:
    """The successive processes of one replica of a service, on a machine with its own clock."""

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
        """Start the program, and start it again whenever it ends."""
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
        """Kill the process with SIGKILL. It is started again after `down` seconds."""
        self.down = down
        if self.process and self.process.life is not Life.DEAD:
            self._world.history.note("killed", who=str(self.process))
            self.process.kill()

    def stop(self) -> None:
        """Stop the process with SIGTERM, and with SIGKILL after STOP_SECONDS."""
        process = self.process
        if process and self.service is not None and process.life is not Life.DEAD and not process.stopping:
            process.stopping = True
            self._world.history.note("told to stop", who=str(process))
            process.run(_now(self._stop))
            self._world.later(STOP_SECONDS, lambda: self._kill_if_running(process))

    def _kill_if_running(self, process: Process) -> None:
        if self.process is process and process.life is not Life.DEAD:
            self._world.history.note("did not stop", who=str(process))
            self.kill(RESTART)

    async def _main(self, process: Process) -> None:
        try:
            await getattr(self, f"_{self.kind}")()
        except BrokerError as fault:
            # at the first start, a person would read this; here the supervisor tries again
            self._world.history.note("gave up", who=str(process), why=str(fault))

    async def _deploys(self) -> None:
        world, stop = self._world, Stop()
        self._stop = stop.signal
        guarded = Guarded(world.settings.deploys, SimulatedLocks(world.commands, self.name))
        self.service = Deploys(world.settings, {}, stop, self.clock, guarded)
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
            # requests that arrived before the stop are still published
            while self.serving:
                await asyncio.sleep(0.05)
            trackers.closed.set()

        self._stop = lambda: draining.append(asyncio.ensure_future(drain()))
        await keep(world.settings.broker, "trackers", trackers.session, trackers.closed, world.dial_of(self))


async def _now(do: Callable[[], None]) -> None:
    do()


Request = Callable[[Replica], Awaitable[str]]
