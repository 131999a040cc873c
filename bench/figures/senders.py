"""Slow senders: how fast `trackers` answers, its memory and its log, while many clients are silent or slow."""

import asyncio
import http.client
import multiprocessing
import os
import resource
import statistics
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress

import stack
from harness import Bench, Column, Figure, Values
from usher.runtime.tasks import end

BODY = 24 * 1024 * 1024
CHUNK = 16 * 1024
IDLE = 2000
BODIES = 50
DESCRIPTORS = 1024
SPARE = 200
"""Descriptors of this process beside the connections."""


async def idle(port: int, count: int) -> list[asyncio.StreamWriter]:
    """Open connections that send nothing."""
    return [(await asyncio.open_connection("127.0.0.1", port))[1] for _ in range(count)]


async def unfinished(port: int) -> asyncio.StreamWriter:
    """Open a connection, and send all of a large body but its end."""
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    with suppress(ConnectionError):
        writer.write(f"POST /webhooks/jira HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {BODY}\r\n\r\n".encode())
        for _ in range(BODY // CHUNK - 1):
            writer.write(b" " * CHUNK)
            await writer.drain()
    return writer


async def drip(writer: asyncio.StreamWriter) -> None:
    """Send a byte ten times a second while the server lets us."""
    with suppress(ConnectionError):
        while True:
            writer.write(b" ")
            await writer.drain()
            await asyncio.sleep(0.1)


def ask(port: int, seconds: float) -> list[float]:
    """Ask for /health ten times a second, each time on a new connection. Returns the times until the answers, in ms."""
    times, until = [], time.monotonic() + seconds
    while time.monotonic() < until:
        began = time.perf_counter()
        asking = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        try:
            asking.request("GET", "/health")
            answered = asking.getresponse().status == http.client.OK
        except OSError:
            answered = False
        times.append((time.perf_counter() - began) * 1000 if answered else float("inf"))
        asking.close()
        time.sleep(0.1)
    return times


async def ask_among_others(program: stack.Program, seconds: float) -> dict[str, Values]:
    """Ask without other clients, with idle ones, and with slow ones in addition."""
    # in a process of its own, so that the many clients of this one do not slow it down
    asker = ProcessPoolExecutor(1, multiprocessing.get_context("spawn"))
    asker.submit(ask, program.port, 0).result()
    found: dict[str, Values] = {}
    for name, connections, bodies in (
        ("alone", 0, 0),
        (f"{IDLE:,} idle connections", IDLE, 0),
        (f"{IDLE:,} idle, {BODIES} unfinished bodies", IDLE, BODIES),
    ):
        before = os.stat(program.log).st_size
        writers = await asyncio.gather(*(unfinished(program.port) for _ in range(bodies)))
        dripping = [asyncio.create_task(drip(writer)) for writer in writers]
        writers += await idle(program.port, connections)
        times = await asyncio.get_running_loop().run_in_executor(asker, ask, program.port, seconds)
        found[f"Usher, {name}"] = {
            "slowest": max(times),
            "median": statistics.median(times),
            "memory": program.memory,
            "log": (os.stat(program.log).st_size - before) / 1024,
        }
        await end(*dripping)
        for writer in writers:
            writer.close()
    asker.shutdown()
    return found


def measure(bench: Bench) -> Iterator[tuple[str, Values]]:
    """Measure the answers of one `trackers`, among more and more other clients."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(IDLE + BODIES + SPARE, hard), hard))
    with stack.broker(bench.folder) as broker, stack.services(["trackers"], bench.folder, broker, {}) as running:
        trackers = running["trackers"]
        resource.prlimit(trackers.process.pid, resource.RLIMIT_NOFILE, (DESCRIPTORS, DESCRIPTORS))
        yield from asyncio.run(ask_among_others(trackers, bench.seconds)).items()


FIGURE = Figure(
    "senders",
    "Slow senders",
    f"`/health` of `trackers`, asked ten times a second on new connections. It may open {DESCRIPTORS:,} files.",
    (Column("slowest", "ms", 1), Column("median", "ms", 1), Column("memory", "MB"), Column("log", "KB", 1)),
    measure,
    rounds=1,
)
