"""The three real programs, as processes of their own, and a command that writes down what it does."""

import itertools
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import psutil
import pytest

COMMAND = """
import json, os, signal, sys, time
path, seconds, stubborn, server, *issues = sys.argv[1:]
if stubborn == "True":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
def note(what):
    line = json.dumps({"what": what, "at": time.time(), "deploy": os.environ["USHER_DEPLOY"],
                       "fence": int(os.environ["USHER_FENCE"]), "server": server, "issues": issues})
    with open(path, "a") as file:
        file.write(line + "\\n")
note("begin")
until = time.monotonic() + float(seconds)
while (left := until - time.monotonic()) > 0:
    time.sleep(min(0.1, left))
    note("alive")
note("end")
"""


@dataclass(frozen=True)
class Run:
    """One run of the command, as it wrote it down itself."""

    server: str
    issues: tuple[str, ...]
    begin: float
    alive: float
    ended: bool
    fence: int


@dataclass
class Programs:
    """trackers, deploys and successes, each a process that can be killed and started again."""

    folder: Path
    environment: dict[str, str]
    running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    starts: int = 0

    def start(self, *names: str) -> None:
        """Start these services and wait until each is ready."""
        for name in names:
            self.starts += 1
            log = self.folder / f"{name}.{self.starts}.log"
            with log.open("wb") as output:
                self.running[name] = subprocess.Popen(
                    [sys.executable, "-m", name], env=self.environment, cwd=self.folder, stdout=output, stderr=output
                )
        for name in names:
            self.wait(lambda name=name: self._is_ready(name), f"{name} is ready")

    def kill(self, name: str, number: int = signal.SIGKILL) -> None:
        """Signal a service and wait until it has ended."""
        process = self.running.pop(name)
        process.send_signal(number)
        process.wait(20)

    def log(self, name: str) -> str:
        """What the service has said since it was last started."""
        path = max(self.folder.glob(f"{name}.*.log"), key=lambda path: int(path.name.split(".")[1]))
        return path.read_text()

    def url(self, name: str) -> str:
        found = re.search(r"listening on (http://\S+)", self.log(name))
        return found[1] if found else ""

    def get(self, name: str, path: str) -> dict[str, object]:
        answer = httpx.get(self.url(name) + path, timeout=20)
        answer.raise_for_status()
        return dict(answer.json())

    def tell(self, issue: str, status: str) -> float:
        """Tell a message at the door; gives when the door took it (its answer may take a while)."""
        answer = httpx.post(self.url("trackers") + "/messages", json={"issue_id": issue, "status": status}, timeout=20)
        assert answer.status_code == 201, answer.text
        return float(answer.json()["queued_at"]) / 1000

    def runs(self) -> list[Run]:
        """Every run of the command so far."""
        path = self.folder / "notes"
        notes: dict[str, list[dict[str, object]]] = defaultdict(list)
        for line in path.read_text().splitlines() if path.exists() else []:
            note = json.loads(line)
            notes[note["deploy"]].append(note)
        return sorted(
            (
                Run(
                    str(first["server"]), tuple(first["issues"]), first["at"], run[-1]["at"],  # type: ignore[arg-type]
                    run[-1]["what"] == "end", first["fence"],  # type: ignore[arg-type]
                )
                for run in notes.values()
                for first in run[:1]
            ),
            key=lambda run: run.begin,
        )  # fmt: skip

    def overlaps(self) -> list[tuple[Run, Run]]:
        """Pairs of runs of one server that were alive at the same time."""
        found = []
        for server in {run.server for run in self.runs()}:
            own = [run for run in self.runs() if run.server == server]
            found += [(a, b) for a, b in itertools.pairwise(own) if b.begin < a.alive]
        return found

    def missed(self, told: dict[tuple[str, str], float]) -> set[tuple[str, str]]:
        """What was told (server and issue, and when it was taken last) and is in no run that began after that."""
        latest: dict[tuple[str, str], float] = {}
        for run in self.runs():
            if run.ended:
                latest |= {(run.server, issue): run.begin for issue in run.issues}
        return {move for move, at in told.items() if latest.get(move, 0) < at}

    def wait(self, true: Callable[[], object], what: str, seconds: float = 60) -> None:
        """Wait for that to be true."""
        until = time.monotonic() + seconds
        while not true():
            for name, process in self.running.items():
                assert process.poll() is None, f"{name} has ended:\n{self.log(name)}"
            assert time.monotonic() < until, f"not in {seconds} s: {what}\n{self.log('deploys')[-3000:]}"
            time.sleep(0.05)

    def stop(self) -> None:
        for process in self.running.values():
            process.terminate()
        for process in self.running.values():
            process.wait(20)

    def _is_ready(self, name: str) -> bool:
        if not (url := self.url(name)):
            return False
        try:
            return httpx.get(url + "/ready", timeout=5).status_code == 200
        except httpx.TransportError:
            return False


@pytest.fixture
def make_programs(vhost_url: str, tmp_path: Path) -> Iterator[Callable[..., Programs]]:
    """Programs on this test's vhost with windows of a second; more settings as keywords."""
    made: list[Programs] = []

    def make(*, seconds: float = 1, stubborn: bool = False, **variables: str) -> Programs:
        command = [
            sys.executable,
            "-c",
            COMMAND,
            str(tmp_path / "notes"),
            str(seconds),
            str(stubborn),
            "{server}",
            "{issues}",
        ]
        settings = {
            "BROKER__URL": vhost_url,
            "BROKER__HEARTBEAT": "1s",
            "DEPLOYS__COMMAND": json.dumps(command),
            "DEPLOYS__SILENCE": "2s",
            "DEPLOYS__GRACE": "1s",
            "WINDOW__QUIET": "1s",
            "WINDOW__CAP": "3s",
            "WINDOW__FLOOR": "0s",
            **{f"{name}__PORT": "0" for name in ("TRACKERS", "DEPLOYS", "SUCCESSES")},
            **variables,
        }
        environment = {**os.environ, **{f"USHER_{key}": value for key, value in settings.items()}}
        programs = Programs(tmp_path, environment)
        made.append(programs)
        return programs

    yield make
    for programs in made:
        programs.stop()
    left = [p for p in psutil.Process().children(recursive=True) if str(tmp_path) in " ".join(p.cmdline())]
    assert left == []
