"""The three real programs as separate processes, with a command that takes notes."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import psutil
import pytest

from faults.checker import History, Places
from faults.notes import COMMAND, Accepted, Notes, Run, overlaps, undeployed
from usher.local.choose import Broker


@dataclass
class Programs:
    """trackers, deploys and successes as processes that can be killed and restarted."""

    folder: Path
    environment: dict[str, str]
    broker: Broker
    notes: Notes
    running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    accepted: list[Accepted] = field(default_factory=list)
    starts: int = 0

    def start(self, *names: str, **variables: str) -> None:
        """Start these services, with additional settings as keywords, and wait until each is ready."""
        environment = self.environment | {f"USHER_{key}": value for key, value in variables.items()}
        for name in names:
            self.starts += 1
            log = self.folder / f"{name}.{self.starts}.log"
            with log.open("wb") as output:
                self.running[name] = subprocess.Popen(
                    [sys.executable, "-m", name], env=environment, cwd=self.folder, stdout=output, stderr=output
                )
        for name in names:
            self.wait(lambda name=name: self._is_ready(name), f"{name} is ready")

    def kill(self, *names: str, number: int = signal.SIGKILL) -> None:
        """Send these services a signal, and wait until they have ended."""
        processes = [self.running.pop(name) for name in names]
        for process in processes:
            process.send_signal(number)
        for process in processes:
            process.wait(20)

    def log(self, name: str) -> str:
        """The log of the service since its last start."""
        path = max(self.folder.glob(f"{name}.*.log"), key=lambda path: int(path.name.split(".")[1]))
        return path.read_text()

    def url(self, name: str) -> str:
        found = re.search(r"listening on (http://\S+)", self.log(name))
        return found[1] if found else ""

    def get(self, name: str, path: str) -> dict[str, object]:
        answer = httpx.get(self.url(name) + path, timeout=20)
        answer.raise_for_status()
        return dict(answer.json())

    def send(self, issue: str, status: str, to: str = "") -> Accepted:
        """Send a message to `trackers`, through the address `to` if one is given. Returns the accepted message."""
        move = {"issue_id": issue, "status": status}
        answer = httpx.post((to or self.url("trackers")) + "/messages", json=move, timeout=20)
        assert answer.status_code == 201, answer.text
        self.accepted.append(Accepted.of(answer))
        return self.accepted[-1]

    def hold(self) -> Path:
        """Create a file and return it. No command ends until it is deleted."""
        held = self.notes.path.with_name("hold")
        held.touch()
        return held

    def runs(self) -> list[Run]:
        """Every run of the command so far."""
        return self.notes.runs()

    def overlaps(self) -> list[tuple[Run, Run]]:
        """Pairs of runs of one server that were alive at the same time."""
        return overlaps(self.runs())

    def missed(self) -> set[tuple[str, str]]:
        """Each (server, issue) that no run has deployed since its last message was accepted."""
        return undeployed(self.accepted, self.runs())

    def wait(self, condition: Callable[[], object], what: str, seconds: float = 60) -> None:
        """Wait until the condition holds."""
        until = time.monotonic() + seconds
        while not condition():
            for name, process in self.running.items():
                assert process.poll() is None, f"{name} has ended:\n{self.log(name)}"
            assert time.monotonic() < until, f"not within {seconds} s: {what}\n{self.log('deploys')[-3000:]}"
            time.sleep(0.05)

    @property
    def places(self) -> Places:
        """Where the checker looks."""
        vhost = self.environment["USHER_BROKER__URL"].rpartition("/")[2]
        return Places(lambda: self.url("successes"), self.broker.console, self.broker.credentials, vhost)

    def verify(self, seconds: float = 90) -> History:
        """Wait until everything is settled, and check that every promise was kept."""
        histories: list[History] = []

        def settled() -> bool:
            # not more often, because the console counts messages only every five seconds
            time.sleep(0.5)
            histories[:] = [History.observe(self.accepted, self.notes, self.places)]
            return not histories[0].unsettled()

        try:
            self.wait(settled, "everything is settled", seconds)
        except AssertionError as late:
            raise AssertionError(f"{histories and histories[0].unsettled()[:20]}\n{late}") from None
        if faults := histories[0].faults():
            raise AssertionError("\n".join(map(str, faults[:20])))
        return histories[0]

    def stop(self) -> None:
        for process in self.running.values():
            process.send_signal(signal.SIGCONT)
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
def make_programs(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[..., Programs]]:
    """Programs with windows of one second, on this test's vhost or on another `broker`. Keywords are more settings.

    `plan` says how the command behaves. `fellow` are other programs, with which these share messages and notes.
    """
    made: list[Programs] = []

    def make(
        *,
        seconds: float = 1,
        plan: dict[str, object] | None = None,
        broker: Broker | None = None,
        fellow: Programs | None = None,
        **variables: str,
    ) -> Programs:
        url = broker.url if broker else str(request.getfixturevalue("vhost_url"))
        notes = fellow.notes if fellow else Notes(tmp_path / "notes")
        behaviour = json.dumps({"seconds": seconds, **(plan or {})})
        command = [sys.executable, "-c", COMMAND, str(notes.path), behaviour, "{server}", "{issues}"]
        settings = {
            "BROKER__URL": url,
            "BROKER__HEARTBEAT": "1s",
            "DEPLOYS__COMMAND": json.dumps(command),
            "DEPLOYS__SILENCE": "2s",
            "DEPLOYS__GRACE": "1s",
            "WINDOW__QUIET": "1s",
            "WINDOW__CAP": "3s",
            "WINDOW__FLOOR": "0s",
            "SUCCESSES__LEDGER": f"sqlite:///{tmp_path}/usher.db",
            **{f"{name}__PORT": "0" for name in ("TRACKERS", "DEPLOYS", "SUCCESSES")},
            **variables,
        }
        environment = {**os.environ, **{f"USHER_{key}": value for key, value in settings.items()}}
        folder = tmp_path / str(len(made)) if made else tmp_path
        folder.mkdir(exist_ok=True)
        used = broker or request.getfixturevalue("broker")
        programs = Programs(folder, environment, used, notes, accepted=fellow.accepted if fellow else [])
        made.append(programs)
        return programs

    yield make
    for programs in made:
        programs.stop()
    leftover = [p for p in psutil.Process().children(recursive=True) if str(tmp_path) in " ".join(p.cmdline())]
    assert leftover == []
