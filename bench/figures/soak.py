"""A soak: whether anything grows under a steady load."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import body
import load
import stack
import watch
from harness import Bench, Column, Figure, Values
from usher.local.choose import Broker

SERVERS = 20
PER_SECOND = 10
PARTS = 6
"""How many parts the time has. What is measured after the first part is compared with the end."""

SETTINGS = {
    "JIRA__SECRET": load.SECRET,
    "DEPLOYS__COMMAND": json.dumps(["sleep", "0.1"]),
    "WINDOW__QUIET": "2s",
    "WINDOW__CAP": "5s",
    "WINDOW__FLOOR": "0s",
}


def measure(bench: Bench) -> Iterator[tuple[str, Values]]:
    """Send moves at a steady rate, and look at each process after the first part and at the end."""
    servers, seconds = body.servers(SERVERS), bench.minutes * 60 / PARTS
    stack.configure(bench.folder, servers)
    webhooks, moves = load.Webhooks(servers), round(PER_SECOND * seconds)
    with (
        stack.broker(bench.folder) as broker,
        stack.services(stack.ALL, bench.folder, broker, SETTINGS) as running,
    ):
        processes = {**running, "broker": stack.node(bench.folder)}
        early: Mapping[str, Values] = {}
        for part in range(PARTS):
            port = running["trackers"].port
            load.steady(port, "/webhooks/jira", PER_SECOND, seconds, webhooks, 1 + part * moves)
            found = _look(bench, broker, processes)
            early = early or found
            bench.say(f"{(part + 1) * moves:,} of {PARTS * moves:,} moves accepted")
        for name, values in found.items():
            yield f"Usher, {name}", {f"early {column}": value for column, value in early[name].items()} | values


def _look(bench: Bench, broker: Broker, processes: Mapping[str, stack.Running]) -> Mapping[str, Values]:
    """What each process uses now. Its commands and their guards come and go, and do not count."""
    found = {name: one.own() for name, one in processes.items()}
    totals = watch.totals(broker)
    found["broker"] |= {name: float(totals[name]) for name in ("connections", "channels")}
    return found
