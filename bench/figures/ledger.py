"""A large ledger: how fast it is rebuilt and read, and its size on disk."""

import asyncio
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import httpx
from pydantic import SecretStr

import body
import stack
from figures.journal import batched, fill
from harness import Bench, Column, Figure, Values
from successes.ledger.ledger import Ledger
from successes.ledger.writes import News
from usher.broker import topology
from usher.broker.link import connect
from usher.broker.publisher import Publisher
from usher.core.batches import Batch
from usher.core.events import DeployEnded, DeployTaken, Event, Outcome
from usher.core.servers import Server
from usher.settings import Settings, load

MESSAGES = 1_000_000
REBUILT = 100_000
SMALL_MESSAGES = 2000
PER_DEPLOY = 10
SERVERS = 500
READS = 200
SMALL_READS = 20
DEPLOYS_PER_WRITE = 1000
REPORT_EVERY = 50_000
SPAN = 300 * 24 * 3600 * 1000
"""The time between the oldest and the newest message (ms)."""

History = Iterable[tuple[Batch, DeployTaken, DeployEnded]]
"""Deploys, each with its messages, its taking and its result."""


def measure(bench: Bench) -> Iterator[tuple[str, Values]]:
    """Write a large ledger directly, and read it through the API. Then rebuild a smaller one from a journal."""
    count, rebuilt = (SMALL_MESSAGES, SMALL_MESSAGES) if bench.smoke else (MESSAGES, REBUILT)
    folder = bench.folder
    file = stack.configure(folder, body.servers(SERVERS))
    servers = list(load({"USHER_CONFIG": str(file)}).catalogue)
    asyncio.run(_write(bench, history(count, servers), count))
    size = _size(folder / "usher.db")
    with stack.broker(folder) as broker, stack.services(["successes"], folder, broker, {}) as running:
        for path in _paths(count, servers):
            yield f"Usher, `{path}`", _read(running["successes"], path, SMALL_READS if bench.smoke else READS)
    yield f"Usher, {count:,} messages", {"size": size}
    with stack.broker(folder / "rebuild") as broker:
        at = {"SUCCESSES__LEDGER": f"sqlite:///{folder}/rebuilt.db"}
        variables = {**stack.environment(folder, broker, at), "USHER_CONFIG": str(file)}
        asyncio.run(_journal(bench, load(variables), history(rebuilt, servers)))
        bench.say("rebuilding the ledger")
        seconds, size = _rebuild(variables), _size(folder / "rebuilt.db")
    yield f"Usher, rebuilding {rebuilt:,} messages", {"time": seconds, "rate": rebuilt / seconds, "size": size}


def history(count: int, servers: Sequence[Server]) -> History:
    """`count` messages, deployed in batches. The servers take turns, and the last deploy ends now."""
    first, step = round(time.time() * 1000) - SPAN, SPAN / count
    for deploy, numbers in enumerate(batched(range(count), PER_DEPLOY)):
        server = servers[deploy % len(servers)]
        at = round(first + numbers[-1] * step)
        batch = Batch.of(body.message(server, number + 1, round(first + number * step)) for number in numbers)
        ids, key = [message.id for message in batch.standing], f"{deploy:012x}"
        yield (
            batch,
            DeployTaken(deploy=key, server=server.name, holder="bench", fence=deploy, messages=ids, taken_at=at),
            DeployEnded(
                deploy=key, server=server.name, outcome=Outcome.PASSED, reason="", exit_code=0, rehearsed=False,
                command=("deploy", server.name), standing=batch.standing, superseded=(), started_at=at,
                ended_at=at + 1000, output="x" * 1000, truncated=False, log=None,
            ),
        )  # fmt: skip


async def _journal(bench: Bench, settings: Settings, deploys: History) -> None:
    """Write a history to the journal."""
    async with connect(settings.broker, "bench") as link:
        await topology.declare(link, settings.catalogue)
        publisher = await Publisher.open(link, "bench")
        written = 0
        for some in batched(deploys, DEPLOYS_PER_WRITE):
            written += await fill(publisher, _events(some), written)
            bench.say(f"{written:,} entries written to the journal")


def _events(deploys: History) -> Iterator[Event]:
    for batch, taken, ended in deploys:
        yield from batch.standing
        yield taken
        yield ended


def _rebuild(variables: Mapping[str, str]) -> float:
    """Rebuild the ledger as `usher rebuild` does. Returns how long that took (s)."""
    usher = str(Path(sys.executable).with_name("usher"))
    began = time.perf_counter()
    subprocess.run([usher, "rebuild"], env={**os.environ, **variables}, capture_output=True, check=True)
    return time.perf_counter() - began


async def _write(bench: Bench, deploys: History, count: int) -> None:
    """Write a history to the ledger directly, in large transactions."""
    ledger, written = Ledger.open(SecretStr(f"sqlite:///{bench.folder}/usher.db")), 0
    try:
        for some in batched(deploys, DEPLOYS_PER_WRITE):
            messages = {message.id: (message, 1) for batch, _, _ in some for message in batch.standing}
            taken = [(taken, taken.messages) for _, taken, _ in some]
            await ledger.write(News(received=messages, taken=taken, ended=[ended for _, _, ended in some]))
            written += len(messages)
            if written % REPORT_EVERY == 0:
                bench.say(f"{written:,} of {count:,} messages written to the ledger")
    finally:
        ledger.close()


def _size(ledger: Path) -> float:
    """The size of a ledger's files (MB)."""
    return sum(file.stat().st_size for file in ledger.parent.glob(f"{ledger.name}*")) / stack.MB


def _paths(count: int, servers: Sequence[Server]) -> Sequence[str]:
    """What the API is asked for: lists, filtered lists, a page far back, one message, and one deploy."""
    message = body.message(servers[0], 1, at=0).id
    return (
        "/api/servers",
        "/api/messages",
        f"/api/messages?server={servers[0].name}",
        "/api/messages?state=deployed",
        f"/api/messages?issue={servers[0].project.upper()}-1",
        f"/api/messages?page={count // 100}",
        f"/api/messages?id={message}",
        "/api/deploys",
        f"/api/deploys?server={servers[0].name}",
        f"/api/deploys/{0:012x}",
    )


def _read(program: stack.Program, path: str, reads: int) -> Values:
    """Read a path one time after the other. Raises HTTPStatusError if it is refused."""
    times = []
    with httpx.Client(base_url=program.url, timeout=60) as client:
        client.get(path).raise_for_status()
        for _ in range(reads):
            began = time.perf_counter()
            client.get(path).raise_for_status()
            times.append((time.perf_counter() - began) * 1000)
    cuts = statistics.quantiles(times, n=100, method="inclusive")
    return {"p50": cuts[49], "p99": cuts[98]}


FIGURE = Figure(
    "ledger",
    "A large ledger",
    f"SQLite. A history of deploys of {PER_DEPLOY} messages each, to {SERVERS} servers over 300 days. `usher rebuild` "
    f"reads {REBUILT:,} messages from a journal into a new ledger. The ledger of {MESSAGES:,} messages and "
    f"{MESSAGES // PER_DEPLOY:,} deploys, each with 1 KB of output, is written directly. Each path of the API is then "
    f"read {READS} times, one after the other.",
    (
        Column("p50", "ms", 1),
        Column("p99", "ms", 1),
        Column("time", "s", 1),
        Column("rate", "messages/s"),
        Column("size", "MB"),
    ),
    measure,
    rounds=1,
)
