"""How long a reader takes to build the board: from the first entry, from a checkpoint, or from the last entry it read.

Starts its own RabbitMQ, fills the journal with a history of messages and deploys, and reads it in each of these ways.
Only the ratios within one run are meaningful, not the times themselves.
"""

import argparse
import asyncio
import tempfile
import time
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta
from itertools import islice
from pathlib import Path
from typing import TypeVar

from usher.broker import places, topology
from usher.broker.journal import Journal, follow
from usher.broker.link import connect
from usher.broker.places import Memory
from usher.broker.publisher import Publisher
from usher.core.batches import Batch
from usher.core.events import DeployEnded, DeployTaken, Event, Outcome
from usher.core.issues import Issue
from usher.core.messages import BackMessage
from usher.local.choose import running_broker
from usher.runtime.clock import SystemClock
from usher.settings import Settings, load

T = TypeVar("T")

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


async def fill(publisher: Publisher, events: Iterable[Event]) -> int:
    """Write the events to the journal; return their number."""
    written = 0
    for batch in batched(events, CONCURRENT_PUBLISHES):
        await asyncio.gather(*(publisher.event(event, f"{written + n:032x}") for n, event in enumerate(batch)))
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


async def measure(settings: Settings, count: int) -> None:
    """Fill the journal, read it in each way, and print how long that took."""
    async with connect(settings.broker, "bench") as link:
        await topology.declare(link, settings.catalogue)
    memory, taken = Memory(), dict[str, float]()
    async with reading(settings, Memory()) as (_, publisher, _):
        written = await fill(publisher, history(count, settings))
    async with reading(settings, memory) as (journal, _, taken["from the first entry"]):
        expected = waiting(journal)
        # a reader usually looks back for an hour and a half, but this whole history is younger than that
        places.LOOK_BACK = (timedelta(seconds=CHECKPOINT_DELAY / 2),)
        await asyncio.sleep(CHECKPOINT_DELAY)
        began = time.perf_counter()
        await journal.checkpoint()
        checkpoint_seconds = time.perf_counter() - began
    found = []
    for way, known in (("from a checkpoint", Memory()), ("from its last entry", memory)):
        async with reading(settings, known) as (journal, _, taken[way]):
            found.append(waiting(journal))
    same = "on every board" if set(found) == {expected} else "NOT ON EVERY BOARD"
    print(f"{written:,} entries, {count:,} messages, of which {expected:,} wait {same}")
    print(f"a checkpoint is written in {checkpoint_seconds:.2f} s")
    whole = taken["from the first entry"]
    for way, seconds in taken.items():
        print(f"  {way:<22}{seconds:8.2f} s   1/{whole / seconds:,.0f} of reading all entries")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--messages", type=int, default=20_000, help="number of messages in the history")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="usher-bench-") as folder:
        defaults = load({})
        with running_broker(defaults, Path(folder) / "broker", lasting=False, say=print) as broker:
            asyncio.run(measure(load({"USHER_BROKER__URL": broker.url}), arguments.messages))


if __name__ == "__main__":
    main()
