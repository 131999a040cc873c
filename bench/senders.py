"""How trackers fares while many clients are silent or slow: how fast it answers, its memory, and its log.

Starts its own RabbitMQ and a real trackers process. Then it opens idle connections, and bodies that never end, and asks
for `/health` again and again, each time on a new connection.
"""

import argparse
import asyncio
import http.client
import multiprocessing
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import psutil

from usher.local.choose import running_broker
from usher.runtime.listening import free_ports
from usher.runtime.tasks import end
from usher.settings import load

BODY = 24 * 1024 * 1024
CHUNK = 16 * 1024
SPARE = 200
"""Descriptors of this process beside the connections."""


@contextmanager
def trackers(broker: str, folder: Path, descriptors: int) -> Iterator[tuple[psutil.Process, int, Path]]:
    """A ready trackers process, which may open that many files; its port, and its log."""
    (port,) = free_ports(0)
    log = folder / "log"
    environment = {**os.environ, "USHER_BROKER__URL": broker, "USHER_TRACKERS__PORT": str(port)}
    with log.open("wb") as output:
        child = subprocess.Popen([sys.executable, "-m", "trackers"], env=environment, stderr=output, cwd=folder)
    try:
        resource.prlimit(child.pid, resource.RLIMIT_NOFILE, (descriptors, descriptors))
        while True:
            with suppress(httpx.TransportError):
                if httpx.get(f"http://127.0.0.1:{port}/ready").is_success:
                    break
            if child.poll() is not None:
                raise RuntimeError(f"trackers ended with exit code {child.returncode}; see {log}")
            time.sleep(0.1)
        yield psutil.Process(child.pid), port, log
    finally:
        child.terminate()
        child.wait()


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


async def measure(process: psutil.Process, port: int, log: Path, arguments: argparse.Namespace) -> None:
    """Print the figures without other clients, with idle ones, and with slow ones in addition."""
    # in a process of its own, so that the many clients of this one do not slow it down
    asker = ProcessPoolExecutor(1, multiprocessing.get_context("spawn"))
    asker.submit(ask, port, 0).result()
    for name, connections, bodies in (
        ("alone", 0, 0),
        (f"{arguments.idle:,} idle", arguments.idle, 0),
        (f"and {arguments.bodies} bodies", arguments.idle, arguments.bodies),
    ):
        before = os.stat(log).st_size
        writers = await asyncio.gather(*(unfinished(port) for _ in range(bodies)))
        dripping = [asyncio.create_task(drip(writer)) for writer in writers]
        writers += await idle(port, connections)
        times = sorted(await asyncio.get_running_loop().run_in_executor(asker, ask, port, arguments.seconds))
        print(f"  {name:<16}{_figures(times)}   {process.memory_info().rss / 1024 / 1024:5.0f} MB   "
              f"log +{(os.stat(log).st_size - before) / 1024:,.1f} KB", flush=True)  # fmt: skip
        await end(*dripping)
        for writer in writers:
            writer.close()
    asker.shutdown()


def _figures(times: list[float]) -> str:
    answered = [one for one in times if one < float("inf")]
    middle = statistics.median(answered) if answered else float("nan")
    return f"{len(answered):5} of {len(times)} answered   median {middle:5.1f} ms   slowest {times[-1]:6.1f} ms"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--idle", type=int, default=2000, help="number of idle connections")
    parser.add_argument("--bodies", type=int, default=50, help="number of unfinished bodies")
    parser.add_argument("--seconds", type=float, default=10, help="length of each measurement")
    parser.add_argument("--descriptors", type=int, default=1024, help="how many files trackers may open")
    arguments = parser.parse_args()
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = arguments.idle + arguments.bodies + SPARE
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(needed, hard), hard))
    with tempfile.TemporaryDirectory(prefix="usher-bench-") as name:
        folder = Path(name)
        with (
            running_broker(load(), folder / "broker", lasting=False, say=print) as broker,
            trackers(broker.url, folder, arguments.descriptors) as (process, port, log),
        ):
            asyncio.run(measure(process, port, log, arguments))


if __name__ == "__main__":
    main()
