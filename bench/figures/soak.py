"""A soak: whether anything grows under a steady load."""

import json
import time
from collections.abc import Iterator, Mapping

import body
import load
import stack
import watch
from harness import Bench, Column, Figure, Values
from usher.local.choose import Broker

SERVERS = 20
PER_SECOND = 10
PARTS = 6
"""How many parts the time has. What is seen after the first part is compared with the end."""

SETTLE_SECONDS = 2.0
"""How long after the load to look, so that its connections are closed."""

SETTINGS = {
    "JIRA__SECRET": load.SECRET,
    "DEPLOYS__COMMAND": json.dumps(["sleep", "0.1"]),
    "WINDOW__QUIET": "3s",
    "WINDOW__CAP": "10s",
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
        port, seen = running["trackers"].port, []
        for part in range(PARTS):
            load.steady(port, "/webhooks/jira", PER_SECOND, seconds, webhooks, first=1 + part * moves)
            time.sleep(SETTLE_SECONDS)
            seen.append(_look(broker, {**running, "broker": stack.node(bench.folder)}))
            memory = ", ".join(f"{name} {values['memory']:.0f} MB" for name, values in seen[-1].items())
            bench.say(f"{(part + 1) * moves:,} of {PARTS * moves:,} moves accepted; {memory}")
        for name, values in seen[-1].items():
            early = {f"early {quantity}": value for quantity, value in seen[0][name].items()}
            yield f"Usher, {name}", values | early


def _look(broker: Broker, running: Mapping[str, stack.Running]) -> dict[str, dict[str, float]]:
    """What each process uses now, without its children: commands come and go."""
    found = {
        name: {
            "memory": one.process.memory_info().rss / stack.MB,
            "handles": float(one.process.num_fds()),
            "threads": float(one.process.num_threads()),
        }
        for name, one in running.items()
    }
    totals = watch.totals(broker)
    found["broker"] |= {"connections": totals["connections"], "channels": totals["channels"]}
    return found


FIGURE = Figure(
    "soak",
    "A soak",
    f"{PER_SECOND} moves a second to {SERVERS} servers, whose windows close after at most 10 s, and whose commands "
    f"take 0.1 s. Early: after the first sixth of the time; then at the end. Each process without its commands, "
    "and the broker's connections and channels. Nothing should grow, except caches while they fill.",
    tuple(
        Column(f"{when}{quantity}", unit)
        for quantity, unit in (
            ("memory", "MB"),
            ("handles", ""),
            ("threads", ""),
            ("connections", ""),
            ("channels", ""),
        )
        for when in ("early ", "")
    ),
    measure,
    rounds=1,
    long=True,
)
