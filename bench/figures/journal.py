"""Reading the journal: from the first entry, from a checkpoint, or from the last entry that was read."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta
from itertools import islice
from typing import TypeVar

import stack
from harness import Bench, Column, Figure, Values
from usher.broker import places, topology
from usher.broker.journal import Journal, follow
from usher.broker.link import connect
from usher.broker.places import Memory
from usher.broker.publisher import Publisher
from usher.core.batches import Batch
from usher.core.events import DeployEnded, DeployTaken, Event, Outcome
from usher.core.issues import Issue
from usher.core.messages import BackMessage
from usher.runtime.clock import SystemClock
from usher.settings import Settings, load

T = TypeVar("T")

MESSAGES = 20_000
CONCURRENT_PUBLISHES = 500
MESSAGES_PER_DEPLOY = 50
WAITING_PER_SERVER = 100
CHECKPOINT_DELAY = 4.0
"""Seconds between the history and its checkpoint."""


def history(count: int, settings: Settings) -> Iterable[Event]:
    """`count` messages, spread over all servers and deployed in batches. The last ones of each server still wait."""
    servers = list(settings.catalogue)
    messages = [
        BackMessage.of(Issue(server.project.upper(), n + 1), server, source="api", now=n, identity=(str(n),))
        for n in range(count)
        for server in (servers[n % len(servers)],)
    ]
    yield from messages
    for server in servers:
        deployed = [message for message in messages if message.server == server.name][:-WAITING_PER_SERVER]
        for n, batch in enumerate(batched(deployed, MESSAGES_PER_DEPLOY)):
            deploy = f"{hash((server.name, n)) % 16**12:012x}"
            standing = Batch.of(batch).standing
            yield DeployTaken(
                deploy=deploy, server=server.name, holder="bench", fence=n, messages=[m.id for m in batch], taken_at=n
            )
            yield DeployEnded(
                deploy=deploy, server=server.name, outcome=Outcome.PASSED, reason="", exit_code=0, rehearsed=False,
                command=("x",), standing=standing, superseded=(), started_at=n, ended_at=n, output="x" * 1000,
                truncated=False, log=None,
            )  # fmt: skip


def batched(items: Iterable[T], size: int) -> Iterator[tuple[T, ...]]:
    """Like `itertools.batched`, which needs Python 3.12."""
    iterator = iter(items)
    while batch := tuple(islice(iterator, size)):
        yield batch


async def fill(publisher: Publisher, events: Iterable[Event], first: int = 0) -> int:
    """Write the events to the journal, with ids from this number on; return how many there were."""
    written = 0
    for batch in batched(events, CONCURRENT_PUBLISHES):
        ids = (f"{first + written + n:032x}" for n in range(len(batch)))
        await asyncio.gather(*(publisher.event(event, entry) for event, entry in zip(batch, ids, strict=True)))
        written += len(batch)
    return written


@asynccontextmanager
async def reading(settings: Settings, memory: Memory) -> AsyncIterator[tuple[Journal, Publisher, float]]:
    """A reader that has caught up, and the seconds that this took after connecting."""
    async with connect(settings.broker, "bench") as link:
        began = time.perf_counter()
        publisher = await Publisher.open(link, "bench")
        async with follow(link, publisher, SystemClock(), "bench", memory) as journal:
            yield journal, publisher, time.perf_counter() - began


def waiting(journal: Journal) -> int:
    """The number of waiting messages on the board."""
    return sum(len(journal.board.server(name).waiting) for name in journal.board)


async def read(settings: Settings, count: int) -> dict[str, Values]:
    """Fill the journal, and read it in each way. Raises RuntimeError if the boards differ."""
    async with connect(settings.broker, "bench") as link:
        await topology.declare(link, settings.catalogue)
    memory = Memory()
    async with reading(settings, Memory()) as (_, publisher, _):
        written = await fill(publisher, history(count, settings))
    async with reading(settings, memory) as (journal, _, whole):
        expected = waiting(journal)
        # a reader usually looks back for an hour and a half, but this whole history is younger than that
        places.LOOK_BACK = (timedelta(seconds=CHECKPOINT_DELAY / 2),)
        await asyncio.sleep(CHECKPOINT_DELAY)
        began = time.perf_counter()
        await journal.checkpoint()
        checkpoint = time.perf_counter() - began
    found = {"Usher, from the first entry": {"time": whole, "entries": written / whole}}
    for way, known in (("from a checkpoint", Memory()), ("from its last entry", memory)):
        async with reading(settings, known) as (journal, _, seconds):
            found[f"Usher, {way}"] = {"time": seconds}
            if waiting(journal) != expected:
                raise RuntimeError(f"{way}, the board has {waiting(journal)} waiting messages, not {expected}")
    return {**found, "Usher, writing a checkpoint": {"time": checkpoint}}


def measure(bench: Bench) -> Iterator[tuple[str, Values]]:
    """Measure each way to read the same journal."""
    with stack.broker(bench.folder) as broker:
        yield from asyncio.run(read(load({"USHER_BROKER__URL": broker.url}), MESSAGES)).items()


FIGURE = Figure(
    "journal",
    "Reading the journal",
    f"A history of {MESSAGES:,} messages and their deploys, read until the board is complete.",
    (Column("time", "s", 2), Column("entries", "/s")),
    measure,
    ratio="time",
)
