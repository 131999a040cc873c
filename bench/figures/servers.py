"""Servers: what a larger number of them costs while nothing is deployed."""

import asyncio
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import body
import stack
import watch
from harness import Bench, Column, Figure, Values
from usher.local.choose import Broker
from usher.settings import load

COUNTS = (10, 100, 500, 2000)
SMALL_COUNTS = (2, 20)
IDLE_SECONDS = 60.0
"""`deploys` declares everything again once in this time."""

SMALL_IDLE_SECONDS = 2.0
SETTLE_SECONDS = 5.0


def measure(bench: Bench) -> Iterator[tuple[str, Values]]:
    """Measure each number of servers with a broker of its own."""
    for count in SMALL_COUNTS if bench.smoke else COUNTS:
        folder = bench.folder / str(count)
        folder.mkdir()
        file = stack.configure(folder, body.servers(count))
        servers = [server.name for server in load({"USHER_CONFIG": str(file)}).catalogue]
        values: dict[str, float] = {}
        for more in _stages(bench, folder, servers):
            bench.say(f"{count:,} servers: " + ", ".join(f"{name} {value:.1f}" for name, value in more.items()))
            values |= more
        yield f"{count:,}", values


def _stages(bench: Bench, folder: Path, servers: Sequence[str]) -> Iterator[Values]:
    """Start everything, let it idle, restart `deploys`, and restart the broker."""
    with ExitStack() as brokers, ExitStack() as programs:
        broker = brokers.enter_context(stack.broker(folder))
        began = time.perf_counter()
        running = programs.enter_context(stack.services(stack.ALL, folder, broker, {}))
        _until_consuming(broker, running, servers)
        yield {"start": time.perf_counter() - began}
        yield from _idle(running | {"broker": stack.node(folder)}, SMALL_IDLE_SECONDS if bench.smoke else IDLE_SECONDS)

        running["deploys"].stop()
        began = time.perf_counter()
        running |= programs.enter_context(stack.services(["deploys"], folder, broker, {}))
        _until_consuming(broker, running, servers)
        yield {"restart": time.perf_counter() - began}

        brokers.close()
        brokers.enter_context(stack.broker(folder, again=broker))
        began = time.perf_counter()
        _until_consuming(broker, running, servers)
        yield {"reconnect": time.perf_counter() - began}


def _until_consuming(broker: Broker, running: Mapping[str, stack.Program], servers: Sequence[str]) -> None:
    """Wait until all services are ready, and `deploys` consumes the queue of every server."""
    for program in running.values():
        stack.wait(partial(program.answers, "/ready"))
    asyncio.run(asyncio.wait_for(watch.consumed(broker, servers), stack.READY_SECONDS))


def _idle(running: Mapping[str, stack.Running], seconds: float) -> Iterator[Values]:
    """Measure the memory and the processor time of each process, while nothing happens."""
    time.sleep(SETTLE_SECONDS)
    before = {name: one.seconds for name, one in running.items()}
    time.sleep(seconds)
    for name, one in running.items():
        yield {f"{name} idle": (one.seconds - before[name]) / seconds * 1000, name: one.memory}


PROCESSES = (*stack.ALL, "broker")
FIGURE = Figure(
    "servers",
    "Servers",
    "All three services on an empty broker, and no moves. Start: from the start of the processes until all are ready "
    "and every server's queue is consumed, including the creation of all queues. Restart: the same for `deploys` "
    "alone, whose queues exist. Reconnect: the same for all three, from when a restarted broker answers. Services wait "
    "up to 20 s between two attempts to connect. Idle: processor time per second. Memory of each process.",
    (
        Column("start", "s", 1),
        Column("restart", "s", 1),
        Column("reconnect", "s", 1),
        *(Column(f"{name} idle", "ms/s", 1) for name in PROCESSES),
        *(Column(name, "MB") for name in PROCESSES),
    ),
    measure,
    rounds=1,
    against="servers",
)
