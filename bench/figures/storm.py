"""A storm: many moves to many servers at once, until the last of them is settled."""

import json
import subprocess
import time
from collections.abc import Iterator

import body
import load
import stack
import watch
from harness import Bench, Column, Figure, Values

MOVES = 100_000
SERVERS = 500
SMALL_MOVES = 1000
SMALL_SERVERS = 20
QUIET = 10.0
CAP = 60.0
PARALLEL = 4
COMMAND = "true"
SETTINGS = {
    "JIRA__SECRET": load.SECRET,
    "DEPLOYS__COMMAND": json.dumps([COMMAND]),
    "DEPLOYS__PARALLEL": str(PARALLEL),
    "WINDOW__QUIET": f"{QUIET:g}s",
    "WINDOW__CAP": f"{CAP:g}s",
}


def measure(bench: Bench) -> Iterator[tuple[str, Values]]:
    """Send the whole storm, and wait until the ledger knows the end of every move."""
    moves, count = (SMALL_MOVES, SMALL_SERVERS) if bench.smoke else (MOVES, SERVERS)
    servers = body.servers(count)
    stack.configure(bench.folder, servers)
    with (
        stack.broker(bench.folder) as broker,
        stack.services(stack.ALL, bench.folder, broker, SETTINGS) as running,
    ):
        port = running["trackers"].port
        rate = load.burst(port, "/webhooks/jira", load.Webhooks(servers), range(1, moves + 1), bench.say)
        accepted = time.monotonic()
        watch.until(watch.settled, bench.folder, moves, "settled", bench.say)
        settled = time.monotonic() - accepted
        (deploys,) = watch.query(bench.folder, "SELECT count(*) FROM deploys")
        yield (
            f"Usher, {moves:,} moves to {count} servers",
            {
                "accepted": rate,
                "moves per deploy": moves / deploys,
                "settled": settled,
                "ideal": QUIET + count * _command_seconds() / PARALLEL,
                "broker": stack.node(bench.folder).peak,
                **{name: program.peak for name, program in running.items()},
            },
        )


def _command_seconds() -> float:
    """How long the command takes without Usher: the fastest of several runs."""
    times = []
    for _ in range(10):
        began = time.perf_counter()
        subprocess.run([COMMAND], check=True)
        times.append(time.perf_counter() - began)
    return min(times)


FIGURE = Figure(
    "storm",
    "A storm",
    f"{load.CONNECTIONS} connections send distinct signed 7 KB webhooks for {SERVERS} servers, as many as are "
    f"accepted. A window closes {QUIET:g} s after the last move, or {CAP:g} s after the first. The command is "
    f"`{COMMAND}`, and {PARALLEL} may run at a time. Settled: from the last accepted move until the ledger shows all "
    f"moves as deployed or superseded. Ideal: the quiet time of {QUIET:g} s, and then one command for each server, "
    f"{PARALLEL} at a time, each as long as without Usher. Memory is the peak of each process, without commands.",
    (
        Column("accepted", "/s"),
        Column("moves per deploy", digits=1),
        Column("settled", "s", 1),
        Column("ideal", "s", 1),
        Column("trackers", "MB"),
        Column("deploys", "MB"),
        Column("successes", "MB"),
        Column("broker", "MB"),
    ),
    measure,
    rounds=1,
)
