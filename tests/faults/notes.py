"""A deploy command that writes down what becomes of it, and what can be read from that."""

import itertools
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

COMMAND = """
import json, os, signal, sys, time
from pathlib import Path
path, plan, server, *issues = sys.argv[1:]
deploy = os.environ["USHER_DEPLOY"]
plan = {"seconds": 1, **json.loads(plan)}
seconds, code = plan["seconds"], 0
if int(deploy, 16) % plan.get("slow_of", 1) == 1:
    seconds = plan["slow"]
if int(deploy, 16) % plan.get("fails_of", 1) == 1:
    code = 1
if plan.get("forbidden") in issues:
    code = 64
if plan.get("stubborn"):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
def note(what, **more):
    line = json.dumps({"what": what, "at": time.time(), "deploy": deploy, **more})
    with open(path, "a") as file:
        file.write(line + "\\n")
note("begin", server=server, issues=issues, fence=int(os.environ["USHER_FENCE"]))
until = time.monotonic() + seconds
while (left := until - time.monotonic()) > 0 or (Path(path).parent / "hold").exists():
    time.sleep(max(0.01, min(0.1, left)))
    note("alive")
note("end", code=code)
sys.exit(code)
"""
"""A deploy command that takes notes. Its plan says how many `seconds` it runs; `slow` is for one deploy in `slow_of`;
one in `fails_of` fails; an issue that is `forbidden` fails for good; a `stubborn` one ignores TERM. None ends while a
file `hold` stands beside the notes."""


@dataclass(frozen=True)
class Run:
    """One run of the command, as it wrote it down itself; `code` is None if it was cut. Times in seconds."""

    deploy: str
    server: str
    issues: tuple[str, ...]
    begin: float
    alive: float
    code: int | None
    fence: int

    @property
    def ended(self) -> bool:
        """Whether it came to its end."""
        return self.code is not None


@dataclass(frozen=True)
class Told:
    """An accepted message: what the door answered."""

    id: str
    server: str
    issue: str
    at: float

    @classmethod
    def of(cls, answer: httpx.Response) -> "Told":
        """What a 201 of `/messages` says."""
        said = answer.json()
        return cls(said["id"], said["server"], said["issue"], said["queued_at"] / 1000)


@dataclass
class Notes:
    """The file in which the commands write, read on from where it was read last."""

    path: Path
    _runs: dict[str, Run] = field(default_factory=dict)
    _offset: int = 0

    def runs(self) -> list[Run]:
        """Every run so far, in the order of their beginnings."""
        if self.path.exists():
            with self.path.open("rb") as file:
                file.seek(self._offset)
                *lines, _ = file.read().split(b"\n")
            self._offset += sum(len(line) + 1 for line in lines)
            for line in lines:
                self._take(json.loads(line))
        return sorted(self._runs.values(), key=lambda run: run.begin)

    def _take(self, note: dict[str, Any]) -> None:
        deploy, at = note["deploy"], note["at"]
        if note["what"] == "begin":
            assert deploy not in self._runs, f"deploy {deploy} was begun twice"
            issues = tuple(note["issues"])
            self._runs[deploy] = Run(deploy, note["server"], issues, at, at, None, note["fence"])
            return
        run = self._runs[deploy]
        self._runs[deploy] = Run(deploy, run.server, run.issues, run.begin, at, note.get("code"), run.fence)


def overlaps(runs: Iterable[Run]) -> list[tuple[Run, Run]]:
    """Pairs of runs of one server that were alive at the same time."""
    latest: dict[str, Run] = {}
    found = []
    for run in sorted(runs, key=lambda run: run.begin):
        before = latest.get(run.server)
        if before and run.begin < before.alive:
            found.append((before, run))
        latest[run.server] = max((before, run), key=lambda one: one.alive) if before else run
    return found


def undeployed(told: Iterable[Told], runs: Iterable[Run]) -> set[tuple[str, str]]:
    """Servers' issues of which no run passed that began after their last message."""
    last: dict[tuple[str, str], float] = {}
    for one in told:
        last[one.server, one.issue] = max(one.at, last.get((one.server, one.issue), 0))
    passed: dict[tuple[str, str], float] = {}
    for run in runs:
        for issue in run.issues if run.code == 0 else ():
            passed[run.server, issue] = max(run.begin, passed.get((run.server, issue), 0))
    return {key for key, at in last.items() if passed.get(key, 0) < at}


def longest(times: Iterable[float]) -> float:
    """The longest time between two of these."""
    return round(max((b - a for a, b in itertools.pairwise(sorted(times))), default=0), 1)
