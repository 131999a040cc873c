"""Accepting: how many webhooks a second, beside what a team would use instead."""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import body
import load
import stack
from harness import Bench, Column, Figure, Values
from usher.runtime.listening import free_ports

HERE = Path(__file__).resolve().parents[1]
PEERS = HERE / "peers"
PYTHON = HERE.parent / ".bench" / "bin" / "python"
SETTINGS = {
    "JIRA__SECRET": load.SECRET,
    **{f"PROJECTS__{project}__STATUSES": json.dumps(body.STATUSES) for project in body.PROJECTS},
}
PREPARED = 100_000
WARM_UP_SECONDS = 2.0

Target = tuple[str, str]
"""A base URL, and the path that takes webhooks."""
Contestant = Callable[[Path], AbstractContextManager[Target]]


@contextmanager
def peer(module: str, folder: Path) -> Iterator[Target]:
    """One of the programs in `peers`, with a broker of its own."""
    (port,) = free_ports(0)
    with stack.broker(folder) as broker:
        command = [str(PYTHON), "-m", "uvicorn", f"{module}:app", "--port", str(port), "--no-access-log"]
        with stack.program(command, folder, port, BROKER=broker.url, PYTHONPATH=str(PEERS)) as running:
            yield running.url, "/"


@contextmanager
def webhook(folder: Path) -> Iterator[Target]:
    """The program of that name, written in Go. It checks the signature, and runs a command for each request."""
    (port,) = free_ports(0)
    signed = {
        "type": "payload-hmac-sha256",
        "secret": load.SECRET,
        "parameter": {"source": "header", "name": "X-Hub-Signature"},
    }
    hooks = folder / "hooks.json"
    hooks.write_text(json.dumps([{"id": "jira", "execute-command": "/bin/true", "trigger-rule": {"match": signed}}]))
    command = ["webhook", "-hooks", str(hooks), "-ip", "127.0.0.1", "-port", str(port)]
    with stack.program(command, folder, port) as running:
        yield running.url, "/hooks/jira"


@contextmanager
def usher(names: Sequence[str], folder: Path) -> Iterator[Target]:
    """These services of Usher, with a broker of their own. Windows are long, so that nothing is deployed meanwhile."""
    with stack.broker(folder) as broker, stack.services(names, folder, broker, SETTINGS) as running:
        yield running["trackers"].url, "/webhooks/jira"


CONTESTANTS: dict[str, Contestant] = {
    "ceiling: FastAPI parses and answers": lambda folder: peer("ceiling", folder),
    "adnanh/webhook (not durable)": webhook,
    "aio-pika, two quorum queues": lambda folder: peer("plain", folder),
    "FastStream, one quorum queue": lambda folder: peer("streamed", folder),
    "Celery, one quorum queue": lambda folder: peer("tasks", folder),
    "Usher, trackers alone": lambda folder: usher(["trackers"], folder),
    "Usher, all three running": lambda folder: usher(["trackers", "deploys", "successes"], folder),
}


def measure(bench: Bench) -> Iterator[tuple[str, Values]]:
    """Measure each contestant on an empty broker."""
    for number, (name, contestant) in enumerate(CONTESTANTS.items()):
        folder = bench.folder / str(number)
        folder.mkdir()
        webhooks = load.Webhooks().write(folder / "webhooks", PREPARED)
        with contestant(folder) as (base, path):
            load.wrk(base, path, webhooks, WARM_UP_SECONDS)
            found = load.wrk(base, path, webhooks, bench.seconds)
            values = {"webhooks": found.rate, "p50": found.p50, "p99": found.p99}
            if name.startswith("Usher"):
                values["p99 at 100/s"] = load.steady(int(base.rpartition(":")[2]), path, 100, bench.seconds).p99
            yield name, values


FIGURE = Figure(
    "accept",
    "Accepting webhooks",
    f"{load.CONNECTIONS} connections send distinct signed 7 KB webhooks for 20 servers, as many as are answered. Load, "
    "server and broker share the machine. The durable ones answer when the broker has confirmed.",
    (Column("webhooks", "/s"), Column("p50", "ms", 1), Column("p99", "ms", 1), Column("p99 at 100/s", "ms", 1)),
    measure,
    ratio="webhooks",
    rounds=3,
)
