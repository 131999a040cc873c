"""A RabbitMQ in its own container, which keeps its disk when it is killed."""

import json
import random
import secrets
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import httpx

from usher.local.choose import Broker
from usher.local.container import IMAGE

START_SECONDS = 120.0
HASTY = "+sbwt none -rabbit channel_tick_interval 1000"
"""Uses no processor time when idle, and checks for consumer time-outs every second instead of every minute."""

CONSOLE = 10_000
"""The console's port minus the broker's port. The doctor relies on this distance."""


def docker(*arguments: str) -> str:
    """Run docker and return its output. Raises AssertionError with the whole output if it fails."""
    done = subprocess.run(["docker", *arguments], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, f"docker {' '.join(arguments)}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def until(condition: Callable[[], object], what: str, seconds: float = START_SECONDS) -> float:
    """Wait until the condition holds, checking five times a second. Returns how long it took (s)."""
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < seconds, f"not within {seconds:.0f} s: {what}"
        time.sleep(0.2)
    return time.monotonic() - began


@dataclass(frozen=True)
class Container:
    """A broker that can be controlled, killed and frozen."""

    name: str
    broker: Broker

    def ctl(self, *arguments: str) -> None:
        """Run rabbitmqctl in the container."""
        docker("exec", self.name, "rabbitmqctl", *arguments)

    def kill(self) -> None:
        """Kill it, as a power cut does. Its disk is kept."""
        docker("kill", "--signal", "KILL", self.name)

    def start(self) -> None:
        """Start it again, with its disk, at the same address, and wait until it answers."""
        docker("start", self.name)
        until(self.answers, f"{self.name} answers")

    def freeze(self) -> None:
        """Pause it: it sends no heartbeats, and closes no connection."""
        docker("pause", self.name)

    def thaw(self) -> None:
        """Let a frozen container continue."""
        docker("unpause", self.name)

    def answers(self) -> bool:
        """Whether its console answers, which starts last."""
        try:
            return httpx.get(f"{self.broker.console}/api/overview", auth=self.broker.credentials).status_code == 200
        except httpx.TransportError:
            return False

    @property
    def vhost(self) -> str:
        return self.broker.url.rpartition("/")[2]

    def console(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        """The management API's answer."""
        address = f"{self.broker.console}/api/{path}"
        answer = httpx.request(method, address, json=body, auth=self.broker.credentials, timeout=30)
        return json.loads(answer.raise_for_status().text or "null")


def free_ports() -> int:
    """A free port whose console port is free, too."""
    while True:
        port = random.randrange(20_000, 30_000)
        ends = (("127.0.0.1", port), ("127.0.0.1", port + CONSOLE))
        with suppress(OSError), socket.create_server(ends[0]), socket.create_server(ends[1]):
            return port


@contextmanager
def own_container() -> Iterator[Container]:
    """A temporary RabbitMQ, ready for use."""
    port, name, password = free_ports(), f"usher-faults-{secrets.token_hex(4)}", secrets.token_hex(8)
    docker(
        *("run", "--detach", "--name", name, "--hostname", name),
        *("--publish", f"127.0.0.1:{port}:5672", "--publish", f"127.0.0.1:{port + CONSOLE}:15672"),
        *("--env", "RABBITMQ_DEFAULT_USER=tests", "--env", f"RABBITMQ_DEFAULT_PASS={password}"),
        *("--env", f"RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS={HASTY}", IMAGE),
    )
    try:
        url, console = f"amqp://tests:{password}@127.0.0.1:{port}/", f"http://127.0.0.1:{port + CONSOLE}"
        container = Container(name, Broker(url, console, "a container of this test"))
        until(container.answers, f"{name} answers")
        yield container
    finally:
        docker("rm", "--force", "--volumes", name)
