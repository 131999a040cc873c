"""A private node of an installed RabbitMQ: its own name, folder, user and ports, on the loopback alone."""

import os
import shutil
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from usher.core.errors import BrokerError
from usher.local.children import Child
from usher.runtime.listening import free_ports

PACKAGED = "/usr/lib/rabbitmq/bin"  # Debian's wrapper on the PATH changes user, which needs root
HOMEBREW = ("/opt/homebrew/sbin", "/usr/local/sbin", "/opt/homebrew/opt/rabbitmq/sbin", "/usr/local/opt/rabbitmq/sbin")

PRELOAD = Path(__file__).with_name("preload.erl")

NODE = "usher@localhost"
USER = "usher"
START_SECONDS = 90.0
# everything that matters is on disk within milliseconds; 3.10's console then dawdles for five seconds
STOP_SECONDS = 3.0
LAST_LINES = 15

CONFIGURATION = """\
listeners.tcp.1 = 127.0.0.1:{amqp}
management.tcp.ip = 127.0.0.1
management.tcp.port = {console}
default_user = {user}
default_pass = {password}
consumer_timeout = 604800000
disk_free_limit.absolute = 50MB
vm_memory_high_watermark.relative = 0.4
"""


@dataclass(frozen=True, slots=True)
class Ports:
    """Where a broker listens, on 127.0.0.1."""

    amqp: int
    console: int

    @classmethod
    def free(cls) -> "Ports":
        """The usual ones if they are free, else others."""
        return cls(*free_ports(5672, 15672))


def installed() -> Path | None:
    """The program `rabbitmq-server` that can be run without being root; None if there is none."""
    folders = (PACKAGED, *os.environ.get("PATH", os.defpath).split(os.pathsep), *HOMEBREW)
    found = shutil.which("rabbitmq-server", path=os.pathsep.join(folders))
    return Path(found) if found else None


@contextmanager
def running_node(server: Path, folder: Path, password: str, lock: int) -> Iterator[Ports]:
    """Run a node with its data in `folder` for as long as the block runs. `lock` stays held while any of it lives.

    Raises BrokerError with the node's last lines if it does not start.
    """
    ports = Ports.free()
    log = folder / "log"
    with log.open("wb") as output:
        node = Child(
            [str(server)],
            env=_environment(server, folder, password, ports),
            output=output,
            grace=STOP_SECONDS,
            keep=(lock,),
        )
    note(lock, node.group)
    try:
        answer(ports.amqp, node, START_SECONDS, log)
        yield ports
    except KeyboardInterrupt:
        node.kill()  # a person who presses Ctrl-C twice wants it gone; what is confirmed is on disk
        raise
    finally:
        node.stop()


def answer(port: int, process: Child, seconds: float, log: Path) -> None:
    """Wait until AMQP is spoken on that port. Raises BrokerError if the process ends before, or never answers."""
    deadline = time.monotonic() + seconds
    while not _speaks_amqp(port):
        code = process.ended(0.05)
        if code is None and time.monotonic() < deadline:
            continue
        what = f"ended at its start (exit code {code})" if code is not None else f"did not answer in {seconds:.0f} s"
        lines = log.read_text("utf-8", "replace").strip().splitlines()[-LAST_LINES:]
        raise BrokerError(
            why=f"the broker that Usher started {what}; mend what its last lines say, or name a running one in "
            f"[broker] url. The whole log is {log}:\n" + "\n".join(f"  {line}" for line in lines)
        )


def note(lock: int, group: int) -> None:
    """Write into the lock file whose process group holds it."""
    os.ftruncate(lock, 0)
    os.pwrite(lock, str(group).encode(), 0)


def _speaks_amqp(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=2) as peer:
            peer.sendall(b"AMQP\0\0\x09\x01")
            return peer.recv(1) == b"\x01"  # a method frame; another protocol answers anything
    except OSError:
        return False


def _environment(server: Path, folder: Path, password: str, ports: Ports) -> dict[str, str]:
    """The node's whole environment, after writing the files that it names. Nothing of the system's is read."""
    configuration = folder / "rabbitmq.conf"
    write_private(
        configuration,
        CONFIGURATION.format(amqp=ports.amqp, console=ports.console, user=USER, password=password),
    )
    (folder / "enabled_plugins").write_text("[rabbitmq_management].\n")
    empty = folder / "none"
    return {
        "PATH": os.pathsep.join((os.environ.get("PATH", os.defpath), str(server.parent), "/opt/homebrew/bin")),
        "LANG": "C.UTF-8",
        "HOME": str(folder),
        "RABBITMQ_NODENAME": NODE,
        "RABBITMQ_CONF_ENV_FILE": "/dev/null",
        "RABBITMQ_CONFIG_FILE": str(configuration),
        "RABBITMQ_CONFIG_FILES": str(empty),
        "RABBITMQ_ADVANCED_CONFIG_FILE": str(empty / "advanced.config"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "enabled_plugins"),
        "RABBITMQ_MNESIA_BASE": str(folder / "data"),
        "RABBITMQ_LOG_BASE": str(folder),
        "RABBITMQ_LOGS": "-",
        "RABBITMQ_LOG": "warning",
        "RABBITMQ_PID_FILE": str(folder / "pid"),
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": _distribution(),
        "ERL_AFLAGS": f'-run file eval "{PRELOAD}"',
    }


def _distribution() -> str:
    """Erlang's arguments: known by name on one loopback port, with no port mapper (epmd), which would outlive us."""
    (port,) = free_ports(0)
    return f"-sname {NODE} -start_epmd false -erl_epmd_port {port} -kernel inet_dist_use_interface {{127,0,0,1}}"


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner can read."""
    path.touch(mode=0o600)
    path.chmod(0o600)
    path.write_text(text)
