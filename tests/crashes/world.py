"""The world of a run: replicas of the real services on the broker in memory, senders, and faults."""

import asyncio
import gc
import logging
import warnings
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select

from crashes.clocks import BEGAN
from crashes.evidence import Evidence
from crashes.faults import Faults
from crashes.fleet import Operator, mixed
from crashes.guards import Commands
from crashes.history import History
from crashes.ledgers import Disk
from crashes.loop import NOBODYS, SimulatedLoop, Spinning, StandStill
from crashes.memory.broker import MemoryBroker
from crashes.patches import patched
from crashes.plan import SERVERS, Plan
from crashes.process import Process
from crashes.replicas import Replica
from crashes.rest import Rest
from crashes.sender import Outside
from crashes.settings import settings_of
from crashes.wires import EVERYBODY, SimulatedDisks, SimulatedNetwork, recorded
from successes.ledger.schema import deploys, messages
from usher.broker.port import Dial
from usher.broker.topology import JOURNAL
from usher.core.errors import UsherError

BUDGET = 3_000_000
"""The maximum number of steps of a run. A longer run is considered to spin."""

CLEANUP_SECONDS = 30
"""Virtual seconds for the remaining tasks to end after a run."""


class World:
    """Everything that exists during a run."""

    def __init__(self, plan: Plan, loop: SimulatedLoop, disk: Disk) -> None:
        self.plan, self.loop, self.disk = plan, loop, disk
        self.settings = settings_of(plan)
        self.history = History(loop)
        self.commands = Commands(loop, self.history, plan.commands)
        self.network, self.disks = SimulatedNetwork(loop, plan.latency), SimulatedDisks(loop)
        self.broker = MemoryBroker(self.network, self.disks, lambda: BEGAN / 1000 + loop.time())
        self.processes: list[Process] = []
        self.errors: list[str] = []
        self.lost: list[tuple[float, bytes]] = []
        self.taken_out: set[str] = set()
        self.operator: set[str] = set()
        kinds = (("deploys", plan.deploys), ("successes", plan.successes), ("trackers", plan.trackers))
        self.replicas = [Replica(self, f"{kind}-{number}") for kind, count in kinds for number in range(1, count + 1)]
        self.outside = Outside(self)
        self.operator_of_fleet = Operator(self, plan.fleet, SERVERS)
        self.faults = Faults(self)
        self.rest = Rest(self)

    def of(self, kind: str) -> list[Replica]:
        """The replicas of a service."""
        return [replica for replica in self.replicas if replica.kind == kind]

    def later(self, delay: float, do: Callable[[], object]) -> None:
        """Call `do` after `delay` seconds, on behalf of no process."""
        self.loop.call_later(delay, do, context=NOBODYS)

    def new_process(self, name: str) -> Process:
        """Create the next process of the replica with that name."""
        process = Process(self.loop, name, len(self.processes) + 1)
        process.version = self.operator_of_fleet.version_of(name)
        self.processes.append(process)
        process.on_death(lambda: self.faults.hang_up(process))
        return process

    def dial_of(self, replica: Replica) -> Dial:
        """The function with which that replica's process connects to the broker."""
        process = replica.process
        assert process is not None
        dial = self.broker.dialer(str(process))
        return recorded(dial, self.history, process, self.loop, self.plan.latency)

    def noted(self, task: "asyncio.Task[Any]") -> None:
        """Note the error of a process's task that has ended, if it is not one of Usher's own."""
        if not task.cancelled() and (error := task.exception()) and not isinstance(error, UsherError):
            self.errors.append(f"{type(error).__name__}: {error}")

    async def run(self) -> None:
        """Run the plan, and wait until everything has come to rest, or until the time for that is over."""
        outside = self.outside
        supervisors = [self.loop.create_task(replica.keep_up()) for replica in self.replicas]
        sending = [
            outside.send(number, move, late) for number, move in enumerate(self.plan.moves) for late in move.late
        ]
        self.sendings = [self.loop.create_task(one) for one in sending]
        self.orders = [self.loop.create_task(outside.order(order)) for order in self.plan.orders]
        holding = self.loop.create_task(self.operator_of_fleet.work())
        self.faults.begin()
        await asyncio.sleep(self.horizon)
        self.faults.end()
        await self.rest.come()
        for task in (*supervisors, *self.orders, *self.sendings, holding):
            task.cancel()

    @property
    def horizon(self) -> float:
        """When the faults end (s)."""
        times = [move.at + max(move.late) for move in self.plan.moves]
        times += [fault.at for fault in self.plan.faults]
        times += [order.at + sum(order.again) + order.seconds for order in self.plan.orders]
        times += [self.plan.fleet.at + self.plan.fleet.seconds] if self.plan.fleet else []
        return max([*times, 1.0]) + 60.0

    def evidence(self, logged: list[str]) -> Evidence:
        """What the run leaves behind. `logged` are the exceptions in its log."""
        queues = {name for name in self.broker.queues if name != JOURNAL}
        left = {
            name: [e.message_id for e in (*self.broker.ready(name), *self.broker.unacked(name))]
            for name in sorted(queues)
        }
        self.disk.full = False
        with self.disk.open().reading() as connection:
            states = {row.id: row.state for row in connection.execute(select(messages.c.id, messages.c.state))}
            unended = connection.execute(select(deploys.c.id).where(deploys.c.outcome.is_(None))).scalars().all()
        return Evidence(
            plan=self.plan,
            history=self.history,
            ended_at=self.loop.time(),
            settled=self.rest.settled,
            unrest=self.rest.unrest,
            faults=[*logged, *self.errors, *self.loop.faults],
            left=left,
            ledger=states,
            unended=list(unended),
            journal=[(envelope.message_id, envelope.body) for _, envelope in self.broker.entries(JOURNAL)],
            lost=self.lost,
            taken_out=self.taken_out,
            operator=self.operator,
            kept=self.disks.kept,
            arrivals=self.disks.arrivals,
        )

    def clean_up(self) -> None:
        """Let the remaining tasks end without any effect."""
        self.history.closed = True
        self.network.unreachable.add(EVERYBODY)
        for wire in self.broker.wires:
            wire.client.lost()
        for process in self.processes:
            process.clean_up()


@dataclass(frozen=True, slots=True)
class Outcome:
    """The outcome of a run: what it leaves behind, and how many steps and virtual seconds it took."""

    evidence: Evidence
    steps: int
    seconds: float


def run(plan: Plan, disk: Disk, budget: int = BUDGET) -> Outcome:
    """Run that plan, in at most `budget` steps."""
    disk.erase()
    loop = SimulatedLoop(plan.seed, budget)
    world = World(plan, loop, disk)
    logging.disable(logging.WARNING)
    gc.disable()
    try:
        with warnings.catch_warnings(), mixed(plan.fleet), patched(plan.seed, world.commands) as faults:
            # many tasks are cancelled before their first step at the end, so their coroutines are never awaited
            warnings.simplefilter("ignore", RuntimeWarning)
            try:
                loop.run_until_complete(world.run())
            except (StandStill, Spinning) as end:
                world.rest.unrest = f"{type(end).__name__}: {end}"
            evidence = world.evidence(faults.said)
            outcome = Outcome(evidence, loop.steps, loop.time())
            _clean_up(world, loop)
    finally:
        logging.disable(logging.NOTSET)
        loop.close()
        gc.enable()
    return outcome


def _clean_up(world: World, loop: SimulatedLoop) -> None:
    logging.disable(logging.CRITICAL)
    try:
        world.clean_up()
        for _ in range(CLEANUP_SECONDS):
            if not (tasks := asyncio.all_tasks(loop)):
                break
            for task in tasks:
                task._log_destroy_pending = False  # type: ignore[attr-defined]
                task.cancel()
            loop.call_later(1, loop.stop, context=NOBODYS)
            with suppress(StandStill, Spinning):
                loop.run_forever()
    finally:
        logging.disable(logging.NOTSET)
