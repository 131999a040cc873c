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
from usher.runtime.listening import free_ports, listens

USUAL_PORTS = (5672, 15672)
TRIES = 3
LAST_LINES = 15
GREETING_BYTES = 4096


class Exited(BrokerError):
    """{why}"""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a broker listens on 127.0.0.1: for AMQP, for its console, and for Erlang. Its `name` is random."""

    amqp: int
    console: int
    erlang: int
    name: str

    @classmethod
    def free(cls) -> "Place":
        """The usual ports if they are free, otherwise others. They may be taken before the broker listens."""
        amqp, console, erlang = free_ports(*USUAL_PORTS, 0)
        return cls(amqp, console, erlang, secrets.token_hex(16))

    @property
    def arguments(self) -> str:
        """Erlang's arguments with which the broker greets its clients by its name."""
        return f'-rabbit server_properties [{{<<"usher">>,longstr,<<"{self.name}">>}}]'

    @property
    def taken(self) -> bool:
        """Whether something listens on one of the ports."""
        return any(map(listens, (self.amqp, self.console, self.erlang)))


def started(start: Callable[[Place], Child], seconds: float, log: Path) -> tuple[Place, Child]:
    """Start a broker, and wait until it answers.

    Another program may take a port first, such as another Usher that starts at the same moment. The broker then exits,
    and is started again on other ports. Raises BrokerError with the broker's last log lines if it exits for another
    reason, or if it does not answer within `seconds`.
    """
    for tries_left in reversed(range(TRIES)):
        place = Place.free()
        broker = start(place)
        try:
            _wait(place, broker, seconds, log)
        except Exited:
            if not (tries_left and place.taken):
                raise
        except BaseException:
            broker.kill()
            raise
        else:
            return place, broker
    raise AssertionError("the last try raises or returns")


def _wait(place: Place, broker: Child, seconds: float, log: Path) -> None:
    """Wait until the broker answers. Raises Exited, or another BrokerError if it is silent."""
    deadline = time.monotonic() + seconds
    while not _greets(place):
        code = broker.ended(0.05)
        if code is None and time.monotonic() < deadline:
            continue
        last = log.read_text("utf-8", "replace").strip().splitlines()[-LAST_LINES:]
        what, error = f"did not answer in {seconds:.0f} s", BrokerError
        if code is not None:
            what, error = f"exited at startup (exit code {code})", Exited
        raise error(
            why=f"the broker that Usher started {what}; fix what its last lines report, or set [broker] url to "
            f"another one. The complete log is {log}:\n" + "\n".join(f"  {line}" for line in last)
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
