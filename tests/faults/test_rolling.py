"""Two replicas of every service are restarted one after the other under a steady load: nobody notices."""

import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import httpx
import pytest

from faults.storms import SERVICES

if TYPE_CHECKING:
    from conftest import Programs

pytestmark = pytest.mark.slow

WAITED = ("may still be running", "has not reported its end")
"""What the log says about a turn that the take-over wait delays."""


@dataclass
class Load:
    """Sends five moves per second to whichever `trackers` accepts them, as a load balancer would."""

    replicas: tuple["Programs", ...]
    stop: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        number = 0
        while not self.stop.wait(0.2):
            number += 1
            self._send(f"ABC-{number % 9 + 1}", ("beta", "test")[number % 2])

    def _send(self, issue: str, status: str) -> None:
        while True:
            for replica in self.replicas:
                try:
                    replica.send(issue, status)
                except (httpx.TransportError, AssertionError):
                    continue
                return


def test_a_rolling_restart_loses_duplicates_and_delays_nothing(
    make_programs: "Callable[..., Programs]",
) -> None:
    one = make_programs(DEPLOYS__DRAIN="20s")
    two = make_programs(fellow=one, DEPLOYS__DRAIN="20s")
    load = Load((one, two))
    loading = threading.Thread(target=load.run)
    try:
        for replica in (one, two):
            replica.start(*SERVICES)
        loading.start()
        one.wait(lambda: len(one.runs()) >= 2, "commands run")
        for name in SERVICES:
            for replica in (one, two):
                replica.kill(name, number=signal.SIGTERM)
                replica.start(name)
                time.sleep(1)  # with both replicas under load
    finally:
        load.stop.set()
        loading.join(30)
    history = one.verify()
    assert {message["state"] for message in history.messages} <= {"deployed", "superseded"}
    assert len(history.messages) == len(history.accepted)
    assert all(run.ended for run in history.runs)
    logs = [path.read_text() for folder in (one.folder, two.folder) for path in folder.glob("deploys.*.log")]
    assert len(logs) == 4
    assert [line for log in logs for line in log.splitlines() if any(word in line for word in WAITED)] == []
