"""From the end of a window to the command, and from the end of the command to the ledger."""

import itertools
import json
import sqlite3
import statistics
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import httpx

import stack
from harness import Bench, Column, Figure, Values

PROJECTS = tuple(f"P{first}{second}" for first, second in itertools.product("ABCDE", "ABCDEFGHIJ"))
STATUSES = ("beta", "test")
"""Each of these in each project is one server: 100 in all."""

MEASURED = ("M", "beta")
QUIET = 0.5
SAMPLES = 30
BUSY_SECONDS = 10.0
"""How long each of the other servers' commands runs, and how often each gets another move."""

COMMAND = f"""#!/bin/sh
# its file shows when it began
: > "$2"
case $1 in *.m.*) ;; *) exec sleep {BUSY_SECONDS:g} ;; esac
"""


def measure(bench: Bench) -> Iterator[tuple[str, Values]]:
    """Measure one server, first while all others are idle, then while all are busy."""
    command = bench.folder / "command"
    command.write_text(COMMAND)
    command.chmod(0o755)
    settings = {
        "DEPLOYS__COMMAND": json.dumps([str(command), "{server}", "{issues}"]),
        "DEPLOYS__PARALLEL": "200",
        "WINDOW__QUIET": f"{QUIET:g}s",
        "WINDOW__CAP": "10s",
        "WINDOW__FLOOR": "0s",
        **{f"PROJECTS__{project}__STATUSES": json.dumps(STATUSES) for project in (*PROJECTS, MEASURED[0])},
    }
    names = ("trackers", "deploys", "successes")
    with stack.broker(bench.folder) as broker, stack.services(names, bench.folder, broker, settings) as running:
        url, numbers = running["trackers"].url, itertools.count(1)
        yield "Usher, idle", _latencies(url, bench.folder, numbers)
        with _busy(url):
            time.sleep(BUSY_SECONDS)
            yield f"Usher, {len(PROJECTS) * len(STATUSES)} other servers busy", _latencies(url, bench.folder, numbers)


def _latencies(url: str, folder: Path, numbers: Iterator[int]) -> Values:
    starts, records = zip(*(_one(url, folder, next(numbers)) for _ in range(SAMPLES)), strict=True)
    return {
        "to the command": statistics.median(starts),
        "p99 to the command": max(starts),
        "to the ledger": statistics.median(records),
        "p99 to the ledger": max(records),
    }


def _one(url: str, folder: Path, number: int) -> tuple[float, float]:
    """Deploy one move. Returns how late its command began, and how late the ledger knew of its end (ms)."""
    issue = f"{MEASURED[0]}-{number}"
    answer = httpx.post(f"{url}/messages", json={"issue_id": issue, "status": MEASURED[1]}, timeout=30)
    due = answer.raise_for_status().json()["queued_at"] / 1000 + QUIET
    time.sleep(max(0.0, due - time.time()))
    with closing(sqlite3.connect(f"file:{folder}/usher.db?mode=ro", uri=True)) as ledger:
        found: list[tuple[int]] = []
        while not found:
            time.sleep(0.001)
            query = "SELECT ended_at FROM deploys WHERE ended_at IS NOT NULL AND server LIKE '%.m.%' AND began_at >= ?"
            found = ledger.execute(query, (round(due * 1000) - 5,)).fetchall()
        known = time.time()
    began = (folder / issue).stat().st_mtime
    return (began - due) * 1000, (known - found[0][0] / 1000) * 1000


@contextmanager
def _busy(url: str) -> Iterator[None]:
    """While the block runs, each of the other servers deploys, and gets moves."""
    over = threading.Event()

    def send() -> None:
        servers = itertools.cycle(itertools.product(PROJECTS, STATUSES))
        with httpx.Client(timeout=30) as client:
            for number, (project, status) in enumerate(servers, 1):
                client.post(f"{url}/messages", json={"issue_id": f"{project}-{number}", "status": status})
                if over.wait(BUSY_SECONDS / len(PROJECTS) / len(STATUSES)):
                    return

    sending = threading.Thread(target=send)
    sending.start()
    try:
        yield
    finally:
        over.set()
        sending.join()


FIGURE = Figure(
    "windows",
    "Windows and commands",
    f"{SAMPLES} moves, one after the other, to a server with a window of {QUIET:g} s. How late its command begins "
    "after the window closes, and how late the ledger knows that the command has ended. Busy: each other runs a "
    f"command of {BUSY_SECONDS:g} s after the other. With {SAMPLES} samples, p99 is the slowest.",
    (
        Column("to the command", "ms", 1),
        Column("p99 to the command", "ms", 1),
        Column("to the ledger", "ms", 1),
        Column("p99 to the ledger", "ms", 1),
    ),
    measure,
)
