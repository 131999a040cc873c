"""Starting a broker as a child process: its ports, and waiting until it answers."""

import os
import socket
import time
from dataclasses import dataclass
from pathlib import Path

from usher.core.errors import BrokerError
from usher.local.children import Child
from usher.runtime.listening import free_ports

LAST_LINES = 15


@dataclass(frozen=True, slots=True)
class Ports:
    """The ports of a broker on 127.0.0.1."""

    amqp: int
    console: int

    @classmethod
    def free(cls) -> "Ports":
        """The default ports if they are free, otherwise others."""
        return cls(*free_ports(5672, 15672))


def answer(port: int, process: Child, seconds: float, log: Path) -> None:
    """Wait until the port answers in AMQP. Raises BrokerError if the process ends first, or if there is no answer."""
    deadline = time.monotonic() + seconds
    while not _speaks_amqp(port):
        code = process.ended(0.05)
        if code is None and time.monotonic() < deadline:
            continue
        what = f"exited at startup (exit code {code})" if code is not None else f"did not answer in {seconds:.0f} s"
        lines = log.read_text("utf-8", "replace").strip().splitlines()[-LAST_LINES:]
        raise BrokerError(
            why=f"the broker that Usher started {what}; fix what its last lines report, or set [broker] url to "
            f"another one. The complete log is {log}:\n" + "\n".join(f"  {line}" for line in lines)
        )


def note(lock: int, group: int) -> None:
    """Write the id of the process group that holds the lock into the lock file."""
    os.ftruncate(lock, 0)
    os.pwrite(lock, str(group).encode(), 0)


def _speaks_amqp(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=2) as peer:
            peer.sendall(b"AMQP\0\0\x09\x01")
            return peer.recv(1) == b"\x01"  # a method frame; another protocol could answer anything
    except OSError:
        return False
