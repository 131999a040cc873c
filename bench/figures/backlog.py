"""A backlog: what an arrival costs while many messages are pending, and how long it takes to deploy them all."""

import asyncio
import json
import time
from collections.abc import Iterator, Mapping

import body
import load
import stack
import watch
from figures.journal import CONCURRENT_PUBLISHES, batched, reading
from harness import Bench, Column, Figure, Values
from usher.broker.link import connect
from usher.broker.places import Memory
from usher.broker.publisher import Publisher
from usher.core.checkpoints import Checkpoint, TooLarge, encode_checkpoint
from usher.core.messages import BackMessage
from usher.local.choose import Broker
from usher.settings import Settings
from usher.settings import load as load_settings

SERVERS = 4
SIZES = (0, 50_000, 100_000, 200_000)
SMALL_SIZES = (0, 1000, 2000)
ARRIVALS = 5000
SMALL_ARRIVALS = 200
REPORT_EVERY = 10_000
IDLE_LIMIT = 900.0
IDLE_SHARE = 0.1
"""A service that uses less of a processor than this has no work."""

SETTINGS = {"JIRA__SECRET": load.SECRET, "DEPLOYS__COMMAND": json.dumps(["true"])}
LONG_WINDOW = {"WINDOW__QUIET": "24h", "WINDOW__CAP": "24h"}
SHORT_WINDOW = {"WINDOW__QUIET": "1s", "WINDOW__CAP": "2s", "WINDOW__FLOOR": "0s"}


def measure(bench: Bench) -> Iterator[tuple[str, Values]]:
    """Let the backlog grow from size to size, and finally deploy all of it."""
    sizes, arrivals = (SMALL_SIZES, SMALL_ARRIVALS) if bench.smoke else (SIZES, ARRIVALS)
    servers, folder, pending = body.servers(SERVERS), bench.folder, 0
    file = stack.configure(folder, servers)
    with (
        stack.broker(folder) as broker,
        stack.services(stack.ALL, folder, broker, SETTINGS | LONG_WINDOW) as running,
    ):
        settings = load_settings({"USHER_CONFIG": str(file), "USHER_BROKER__URL": broker.url})
        for size in sizes:
            asyncio.run(_fill(bench, settings, range(pending + 1, size + 1)))
            pending = size + arrivals
            values = _arrivals(bench, running, load.Webhooks(servers), range(size + 1, pending + 1))
            values |= asyncio.run(_checkpoint(bench, settings))
            if size == sizes[-1]:
                running["deploys"].stop()
                values["drained"] = _drain(bench, broker, pending)
            yield f"{size:,}", values


async def _fill(bench: Bench, settings: Settings, numbers: range) -> None:
    """Publish messages with these numbers, each about another issue."""
    servers = list(settings.catalogue)

    def message(number: int) -> BackMessage:
        return body.message(servers[number % SERVERS], number, round(time.time() * 1000))

    async with connect(settings.broker, "bench") as link:
        publisher = await Publisher.open(link, "bench")
        for batch in batched(numbers, CONCURRENT_PUBLISHES):
            await asyncio.gather(*(publisher.message(message(number)) for number in batch))
            if batch[-1] // REPORT_EVERY > batch[0] // REPORT_EVERY:
                bench.say(f"{batch[-1]:,} of {numbers.stop - 1:,} messages are pending")


def _arrivals(
    bench: Bench, running: Mapping[str, stack.Program], webhooks: load.Webhooks, numbers: range
) -> dict[str, float]:
    """Send these webhooks as fast as they are accepted; measure the rate, and what each service uses."""
    _until_idle(running)
    before = {name: program.seconds for name, program in running.items()}
    rate = load.burst(running["trackers"].port, "/webhooks/jira", webhooks, numbers, bench.say)
    _until_idle(running)
    used = {name: program.seconds - before[name] for name, program in running.items()}
    return {
        "accepted": rate,
        **{f"{name} per arrival": seconds / len(numbers) * load.MICROSECONDS for name, seconds in used.items()},
        **{name: program.memory for name, program in running.items()},
    }


def _until_idle(running: Mapping[str, stack.Program]) -> None:
    """Wait until no service has work left."""

    def idle() -> bool:
        before = {name: program.seconds for name, program in running.items()}
        time.sleep(1)
        return all(program.seconds - before[name] < IDLE_SHARE for name, program in running.items())

    stack.wait(idle, IDLE_LIMIT)


async def _checkpoint(bench: Bench, settings: Settings) -> dict[str, float]:
    """Write a checkpoint. Returns its size, and how long that took, unless it is too large to be written."""
    async with reading(settings, Memory()) as (journal, _, _):
        began = time.perf_counter()
        try:
            await journal.checkpoint()
        except TooLarge as fault:
            bench.say(str(fault))
            return {}
        seconds = time.perf_counter() - began
        written = encode_checkpoint(Checkpoint.of(journal.board, journal.position.offset, at=0))
    return {"checkpoint": len(written) / stack.MB, "checkpoint time": seconds}


def _drain(bench: Bench, broker: Broker, pending: int) -> float:
    """Deploy everything with short windows. Returns the seconds from the start of `deploys`."""
    began = time.perf_counter()
    with stack.services(["deploys"], bench.folder, broker, SETTINGS | SHORT_WINDOW):
        watch.until(watch.settled, bench.folder, pending, "settled", bench.say)
        return time.perf_counter() - began


FIGURE = Figure(
    "backlog",
    "A backlog",
    f"Messages are pending on {SERVERS} servers, each about another issue, and no window closes. {ARRIVALS:,} more are "
    f"sent as fast as they are accepted. Per arrival: the processor time of each service until it is idle again. "
    "Memory of each service after that. The checkpoint is written by a reader of its own; without a value, it was too "
    "large to be written. Drained: from a restart of `deploys` with short windows until all are settled, in deploys of "
    "up to 1,000 issues.",
    (
        Column("accepted", "/s"),
        *(Column(f"{name} per arrival", "µs") for name in stack.ALL),
        *(Column(name, "MB") for name in stack.ALL),
        Column("checkpoint", "MB", 2),
        Column("checkpoint time", "s", 2),
        Column("drained", "s", 1),
    ),
    measure,
    rounds=1,
    against="pending messages",
)
