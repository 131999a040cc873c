"""How long a process takes to know the board: from the journal's first entry, from a checkpoint, from where it was.

Starts a RabbitMQ of its own, fills its journal with a history of messages and deploys, and reads it in each way.
Times are compared within one run: the ratios are what counts.
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

from usher.broker import places as usual
from usher.broker import topology
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

AT_ONCE = 500
T = TypeVar("T")

PER_DEPLOY = 50
WAITING = 100
LATER = 4.0
"""Seconds between the history and its checkpoint."""


def history(count: int, settings: Settings) -> Iterable[Event]:
    """So many messages over all servers, deployed in batches; the last of each server still wait."""
    servers = list(settings.catalogue)
    told = [
        BackMessage.of(Issue(server.project.upper(), n + 1), server, source="api", now=n, identity=(str(n),))
        for n in range(count)
        for server in (servers[n % len(servers)],)
    ]
    yield from told
    for server in servers:
        mine = [message for message in told if message.server == server.name][:-WAITING]
        for n, batch in enumerate(batched(mine, PER_DEPLOY)):
            deploy = f"{hash((server.name, n)) % 16**12:012x}"
            standing = Batch.of(batch).standing
            yield DeployTaken(
                deploy=deploy, server=server.name, holder="bench", fence=n, messages=[m.id for m in batch], taken_at=n
            )
            yield DeployEnded(
                deploy=deploy, server=server.name, outcome=Outcome.PASSED, reason="", exit_code=0, rehearsed=False,
                command=("x",), standing=standing, superseded=(), started_at=n, ended_at=n, output="x" * 1000,
                cut=False, log=None,
            )  # fmt: skip


def batched(things: Iterable[T], size: int) -> Iterator[tuple[T, ...]]:
    """As itertools' own from Python 3.12 on."""
    left = iter(things)
    while some := tuple(islice(left, size)):
        yield some


async def fill(publisher: Publisher, events: Iterable[Event]) -> int:
    """Write them into the journal; gives how many they were."""
    written = 0
    for some in batched(events, AT_ONCE):
        await asyncio.gather(*(publisher.event(event, f"{written + n:032x}") for n, event in enumerate(some)))
        written += len(some)
    return written


@asynccontextmanager
async def reading(settings: Settings, memory: Memory) -> AsyncIterator[tuple[Journal, Publisher, float]]:
    """A process that knows the board, and the seconds that it took from the connection on."""
    async with connect(settings.broker, "bench") as link:
        began = time.perf_counter()
        publisher = await Publisher.open(link, "bench")
        async with follow(link, publisher, SystemClock(), "bench", memory) as journal:
            yield journal, publisher, time.perf_counter() - began


def waiting(journal: Journal) -> int:
    """How many messages wait on the board."""
    return sum(len(journal.board.server(name).waiting) for name in journal.board)


async def measure(settings: Settings, count: int) -> None:
    """Fill, read in each way, and say how long it took."""
    async with connect(settings.broker, "bench") as link:
        await topology.declare(link, settings.catalogue)
    memory, taken = Memory(), dict[str, float]()
    async with reading(settings, Memory()) as (_, publisher, _):
        written = await fill(publisher, history(count, settings))
    async with reading(settings, memory) as (journal, _, taken["from the first entry"]):
        expected = waiting(journal)
        # all of this history is younger than the usual hour and a half
        usual.LOOK_BACK = (timedelta(seconds=LATER / 2),)
        await asyncio.sleep(LATER)
        began = time.perf_counter()
        await journal.checkpoint()
        wrote = time.perf_counter() - began
    found = []
    for way, known in (("from a checkpoint", Memory()), ("from where it was", memory)):
        async with reading(settings, known) as (journal, _, taken[way]):
            found.append(waiting(journal))
    same = "the same" if set(found) == {expected} else "NOT THE SAME"
    print(
        f"{written:,} entries, {count:,} messages; {same} {expected:,} wait; a checkpoint is written in {wrote:.2f} s"
    )
    whole = taken["from the first entry"]
    for way, seconds in taken.items():
        print(f"  {way:<22}{seconds:8.2f} s   1/{whole / seconds:,.0f} of reading everything")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--messages", type=int, default=20_000, help="how many messages the history has")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="usher-bench-") as folder:
        unset = load({})
        with running_broker(unset, Path(folder) / "broker", lasting=False, say=print) as broker:
            asyncio.run(measure(load({"USHER_BROKER__URL": broker.url}), arguments.messages))


if __name__ == "__main__":
    main()
