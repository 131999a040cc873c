"""Two replicas of every service, restarted one after the other under a steady load: nobody notices."""

import signal
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

if TYPE_CHECKING:
    from conftest import Programs

pytestmark = pytest.mark.slow

SERVICES = ("trackers", "deploys", "successes")
WAITED = ("may still run a command", "has no end yet")
"""What a log says of a turn that is delayed by the take-over wait."""


@dataclass
class Load:
    """Moves, five a second, told to whichever `trackers` takes them, as a load balancer would."""

    replicas: tuple["Programs", ...]
    told: dict[tuple[str, str], float] = field(default_factory=dict)
    accepted: int = 0
    stop: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        number = 0
        while not self.stop.wait(0.2):
            number += 1
            status, issue = ("beta", "test")[number % 2], f"ABC-{number % 9 + 1}"
            self.told[f"{status}.abc.wwts.com", issue] = self._tell(issue, status)
            self.accepted += 1

    def _tell(self, issue: str, status: str) -> float:
        while True:
            for replica in self.replicas:
                try:
                    return replica.tell(issue, status)
                except (httpx.TransportError, AssertionError, IndexError):
                    continue


def test_a_rolling_restart_of_everything_loses_doubles_and_delays_nothing(
    make_programs: "Callable[..., Programs]", tmp_path: Path
) -> None:
    ledger = f"sqlite:///{tmp_path}/usher.db"
    one = make_programs(seconds=1, SUCCESSES__LEDGER=ledger, DEPLOYS__DRAIN="20s")
    two = replace(one, folder=tmp_path / "two", running={})
    two.folder.mkdir()
    load = Load((one, two))
    loading = threading.Thread(target=load.run)
    try:
        for replica in (one, two):
            replica.start(*SERVICES)
        loading.start()
        one.wait(lambda: len(one.runs()) >= 2, "commands run")
        for name in SERVICES:
            for replica in (one, two):
                replica.kill(name, signal.SIGTERM)
                replica.start(name)
                time.sleep(1)  # the load goes on with both
        load.stop.set()
        loading.join(30)
        one.wait(lambda: not one.missed(load.told), "everything told is deployed")
        one.wait(lambda: set(states(one)) <= {"deployed", "superseded"}, "the ledger knows it")
    finally:
        load.stop.set()
        two.stop()
    assert sum(states(one).values()) == load.accepted
    assert one.overlaps() == []
    assert all(run.ended for run in one.runs())
    logs = [path.read_text() for folder in (one.folder, two.folder) for path in folder.glob("deploys.*.log")]
    assert len(logs) == 4
    assert [line for log in logs for line in log.splitlines() if any(word in line for word in WAITED)] == []


def states(usher: "Programs") -> Counter[str]:
    """How many messages are in each state, of all pages."""
    found: Counter[str] = Counter()
    page, pages = 1, 1
    while page <= pages:
        answer: Any = usher.get("successes", f"/api/messages?per_page=500&page={page}")
        found.update(item["state"] for item in answer["items"])
        page, pages = page + 1, answer["pages"]
    return found
