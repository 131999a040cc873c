"""Starting a broker as a child process: its ports, and waiting until that broker, and no other, answers there."""

import os
import secrets
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from usher.core.errors import BrokerError
from usher.local.children import Child
from usher.runtime.listening import free_ports

USUAL_PORTS = (5672, 15672)
ANY_PORTS = (0, 0)
SIGNS_OF_A_TAKEN_PORT = ("eaddrinuse", "address already in use", "port is already allocated")
"""What Erlang and Docker report."""
LAST_LINES = 15
GREETING_BYTES = 4096


class PortTaken(BrokerError):
    """{why}"""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a broker listens on 127.0.0.1: for AMQP, for its console, and for Erlang. Its `name` is random."""

    amqp: int
    console: int
    erlang: int
    name: str

    @classmethod
    def free(cls, preferred: tuple[int, int]) -> "Place":
        """The preferred ports if they are free, otherwise others. They may be taken before the broker listens."""
        amqp, console, erlang = free_ports(*preferred, 0)
        return cls(amqp, console, erlang, secrets.token_hex(16))

    @property
    def arguments(self) -> str:
        """Erlang's arguments with which the broker greets its clients by its name."""
        return f'-rabbit server_properties [{{<<"usher">>,longstr,<<"{self.name}">>}}]'


def started(start: Callable[[Place], Child], seconds: float, log: Path) -> tuple[Place, Child]:
    """Start a broker, and wait until it answers.

    Another program may take a port first, such as another Usher that starts at the same moment. The broker then exits,
    and is started again on other ports. Raises BrokerError with the broker's last log lines if it exits for another
    reason, or if it does not answer within `seconds`.
    """
    # two Ushers may each have taken a port of the other, so the second try avoids the usual ports
    for preferred in (USUAL_PORTS, ANY_PORTS):
        try:
            return _started(start, Place.free(preferred), seconds, log)
        except PortTaken as fault:
            taken = fault
    raise taken


def _started(start: Callable[[Place], Child], place: Place, seconds: float, log: Path) -> tuple[Place, Child]:
    broker = start(place)
    try:
        _wait(place, broker, seconds, log)
    except BaseException:
        broker.kill()
        raise
    return place, broker


def _wait(place: Place, broker: Child, seconds: float, log: Path) -> None:
    """Wait until the broker answers. Raises PortTaken, or another BrokerError."""
    deadline = time.monotonic() + seconds
    while not _greets(place):
        code = broker.ended(0.05)
        if code is None and time.monotonic() < deadline:
            continue
        text = log.read_text("utf-8", "replace")
        what = f"exited at startup (exit code {code})" if code is not None else f"did not answer in {seconds:.0f} s"
        error = PortTaken if any(sign in text for sign in SIGNS_OF_A_TAKEN_PORT) else BrokerError
        raise error(
            why=f"the broker that Usher started {what}; fix what its last lines report, or set [broker] url to "
            f"another one. The complete log is {log}:\n"
            + "\n".join(f"  {line}" for line in text.strip().splitlines()[-LAST_LINES:])
        )


def _greets(place: Place) -> bool:
    """Whether what listens on the AMQP port greets us by the broker's name."""
    greeting, name = b"", place.name.encode()
    try:
        with socket.create_connection(("127.0.0.1", place.amqp), timeout=2) as peer:
            peer.sendall(b"AMQP\0\0\x09\x01")
            while name not in greeting and len(greeting) < GREETING_BYTES and (more := peer.recv(GREETING_BYTES)):
                greeting += more
    except OSError:
        return False
    return name in greeting


def note(lock: int, group: int) -> None:
    """Write the id of the process group that holds the lock into the lock file."""
    os.ftruncate(lock, 0)
    os.pwrite(lock, str(group).encode(), 0)
