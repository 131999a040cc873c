"""A deploy command that takes notes about itself, and what those notes show."""

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
"""A deploy command that takes notes. Its plan says how it behaves: it runs for `seconds`, or, in one deploy of
`slow_of`, for `slow` seconds. One deploy of `fails_of` fails. A deploy with the issue `forbidden` fails permanently. A
`stubborn` command ignores TERM. No command ends while a file `hold` exists beside the notes."""


@dataclass(frozen=True)
class Run:
    """One run of the command, from its own notes. `code` is None if it was killed. Times are in seconds."""

    deploy: str
    server: str
    issues: tuple[str, ...]
    begin: float
    alive: float
    code: int | None
    fence: int

    @property
    def ended(self) -> bool:
        """Whether it ended by itself."""
        return self.code is not None


@dataclass(frozen=True)
class Accepted:
    """An accepted message, as `trackers` answered."""

    id: str
    server: str
    issue: str
    at: float

    @classmethod
    def of(cls, answer: httpx.Response) -> "Accepted":
        """Parse a 201 answer of `/messages`."""
        body = answer.json()
        return cls(body["id"], body["server"], body["issue"], body["queued_at"] / 1000)


@dataclass
class Notes:
    """The file that the commands write to. Each read continues where the last one ended."""

    path: Path
    _runs: dict[str, Run] = field(default_factory=dict)
    _offset: int = 0

    def runs(self) -> list[Run]:
        """Every run so far, in the order in which they began."""
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
            assert deploy not in self._runs, f"deploy {deploy} began twice"
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


def undeployed(accepted: Iterable[Accepted], runs: Iterable[Run]) -> set[tuple[str, str]]:
    """Each (server, issue) for which no run passed that began after its last message was accepted."""
    last: dict[tuple[str, str], float] = {}
    for one in accepted:
        last[one.server, one.issue] = max(one.at, last.get((one.server, one.issue), 0))
    passed: dict[tuple[str, str], float] = {}
    for run in runs:
        for issue in run.issues if run.code == 0 else ():
            passed[run.server, issue] = max(run.begin, passed.get((run.server, issue), 0))
    return {key for key, at in last.items() if passed.get(key, 0) < at}


def longest(times: Iterable[float]) -> float:
    """The longest gap between two of these times."""
    return round(max((b - a for a, b in itertools.pairwise(sorted(times))), default=0), 1)
