"""The three real programs, as processes of their own, and a command that writes down what it does."""

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
from faults.notes import COMMAND, Notes, Run, Told, overlaps, undeployed
from usher.local.choose import Broker


@dataclass
class Programs:
    """trackers, deploys and successes, each a process that can be killed and started again."""

    folder: Path
    environment: dict[str, str]
    broker: Broker
    notes: Notes
    running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    told: list[Told] = field(default_factory=list)
    starts: int = 0

    def start(self, *names: str, **variables: str) -> None:
        """Start these services, with more settings if there are any, and wait until each is ready."""
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
        """Signal these services and wait until they have ended."""
        processes = [self.running.pop(name) for name in names]
        for process in processes:
            process.send_signal(number)
        for process in processes:
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

    def tell(self, issue: str, status: str, to: str = "") -> Told:
        """Tell a message at the door, or at that address of it; gives what it answers."""
        move = {"issue_id": issue, "status": status}
        answer = httpx.post((to or self.url("trackers")) + "/messages", json=move, timeout=20)
        assert answer.status_code == 201, answer.text
        self.told.append(Told.of(answer))
        return self.told[-1]

    def hold(self) -> Path:
        """Commands don't end until the file that this returns is gone."""
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
        """What was told and is in no run that passed and began after that."""
        return undeployed(self.told, self.runs())

    def wait(self, true: Callable[[], object], what: str, seconds: float = 60) -> None:
        """Wait for that to be true."""
        until = time.monotonic() + seconds
        while not true():
            for name, process in self.running.items():
                assert process.poll() is None, f"{name} has ended:\n{self.log(name)}"
            assert time.monotonic() < until, f"not in {seconds} s: {what}\n{self.log('deploys')[-3000:]}"
            time.sleep(0.05)

    @property
    def places(self) -> Places:
        """Where the checker looks."""
        vhost = self.environment["USHER_BROKER__URL"].rpartition("/")[2]
        return Places(lambda: self.url("successes"), self.broker.console, self.broker.credentials, vhost)

    def proved(self, seconds: float = 90) -> History:
        """Wait until nothing has to come to an end any more, and see that every promise was kept."""
        seen: list[History] = []

        def settled() -> bool:
            # asked slowly: the console counts a queue's messages every five seconds
            time.sleep(0.5)
            seen[:] = [History.seen(self.told, self.notes, self.places)]
            return not seen[0].unsettled()

        try:
            self.wait(settled, "everything has its last state", seconds)
        except AssertionError as late:
            raise AssertionError(f"{seen and seen[0].unsettled()[:20]}\n{late}") from None
        if faults := seen[0].faults():
            raise AssertionError("\n".join(map(str, faults[:20])))
        return seen[0]

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
    """Programs with windows of a second on this test's vhost, or on a `broker` of its own; more settings as keywords.

    `plan` is what the command is told of how to behave; `fellow` are programs that share what was told and noted.
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
        programs = Programs(folder, environment, used, notes, told=fellow.told if fellow else [])
        made.append(programs)
        return programs

    yield make
    for programs in made:
        programs.stop()
    left = [p for p in psutil.Process().children(recursive=True) if str(tmp_path) in " ".join(p.cmdline())]
    assert left == []
