"""Moves that are sent while something breaks, and the readiness of the services meanwhile."""

import random
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import httpx

from faults.notes import Accepted

if TYPE_CHECKING:
    from programs import Programs

SERVICES = ("trackers", "deploys", "successes")


def storm(usher: "Programs", numbers: range, to: str = "") -> None:
    """Send moves to two servers, some issues repeatedly. A move that cannot be sent now is left out."""
    for number in numbers:
        for status in ("beta", "test"):
            try:
                usher.send(f"ABC-{number % 7 + 1}", status, to)
            except httpx.TransportError:
                continue


def ready(usher: "Programs") -> set[int]:
    """The status codes that the running services answer to `/ready`."""
    return {httpx.get(usher.url(service) + "/ready", timeout=10).status_code for service in usher.running}


@dataclass
class Load:
    """Sends front-end messages, `rate` per second, to two servers of two projects each. Refused ones are sent again."""

    url: str
    rate: float
    accepted: list[Accepted] = field(default_factory=list)
    refused: Counter[str] = field(default_factory=Counter)
    given_up: int = 0
    stop: threading.Event = field(default_factory=threading.Event)

    @contextmanager
    def running(self) -> Iterator[None]:
        """Send while the block runs, and then until the last message has been accepted."""
        with ThreadPoolExecutor(1) as thread:
            running = thread.submit(self._run)
            try:
                yield
            finally:
                self.stop.set()
            running.result()

    def _run(self) -> None:
        chance = random.Random(7)
        with httpx.Client(timeout=20) as client, ThreadPoolExecutor(30) as senders:
            while not self.stop.wait(1 / self.rate):
                issue = f"{chance.choice(['ABC', 'DEF'])}-{chance.randint(1, 20)}"
                senders.submit(self._send, client, issue, chance.choice(["test", "beta"]))

    def _send(self, client: httpx.Client, issue: str, status: str) -> None:
        for _ in range(60):
            try:
                answer = client.post(f"{self.url}/messages", json={"issue_id": issue, "status": status})
            except httpx.TransportError as fault:
                self.refused[type(fault).__name__] += 1
            else:
                if answer.status_code == 201:
                    self.accepted.append(Accepted.of(answer))
                    return
                self.refused[str(answer.status_code)] += 1
            time.sleep(1)
        self.given_up += 1
