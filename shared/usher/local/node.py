"""A private node of an installed RabbitMQ, with its own name, directory, user and ports, only on the loopback."""

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from usher.local.children import Child
from usher.local.startup import Place, note, started
from usher.runtime.private import private, write_private

PACKAGED = "/usr/lib/rabbitmq/bin"  # Debian's wrapper on the PATH switches users, which needs root
HOMEBREW = ("/opt/homebrew/sbin", "/usr/local/sbin", "/opt/homebrew/opt/rabbitmq/sbin", "/usr/local/opt/rabbitmq/sbin")

PRELOAD = Path(__file__).with_name("preload.erl")

NODE = "usher@localhost"
USER = "usher"
START_SECONDS = 90.0
# the data is on disk within milliseconds, but the console of 3.10 takes another five seconds to stop
STOP_SECONDS = 3.0
PRIVATE = 0o077

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


def installed() -> Path | None:
    """The `rabbitmq-server` that runs without root, or None if there is none."""
    folders = (PACKAGED, *os.environ.get("PATH", os.defpath).split(os.pathsep), *HOMEBREW)
    found = shutil.which("rabbitmq-server", path=os.pathsep.join(folders))
    return Path(found) if found else None


@contextmanager
def running_node(server: Path, folder: Path, password: str, lock: int) -> Iterator[Place]:
    """Run a node with its data in `folder` while the block runs. Its processes inherit the lock.

    Raises BrokerError with the node's last log lines if it does not start.
    """
    log = folder / "log"

    def start(place: Place) -> Child:
        with open(log, "wb", opener=private) as output:
            node = Child(
                [str(server)],
                env=_environment(server, folder, password, place),
                output=output,
                grace=STOP_SECONDS,
                keep=(lock,),
                umask=PRIVATE,
            )
        note(lock, node.group)
        return node

    place, node = started(start, START_SECONDS, log)
    try:
        yield place
    except KeyboardInterrupt:
        node.kill()  # after a second Ctrl-C, stop without delay; confirmed messages are on disk
        raise
    finally:
        node.stop()


def _environment(server: Path, folder: Path, password: str, place: Place) -> dict[str, str]:
    """Write the node's files and return its complete environment. No file of the system's RabbitMQ is read."""
    configuration = folder / "rabbitmq.conf"
    write_private(
        configuration,
        CONFIGURATION.format(amqp=place.amqp, console=place.console, user=USER, password=password),
    )
    write_private(folder / "enabled_plugins", "[rabbitmq_management].\n")
    # whoever knows the cookie can run code in the node; the one that Erlang makes can be guessed
    write_private(folder / ".erlang.cookie", secrets.token_hex(32))
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
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": f"{_distribution(place.erlang)} {place.arguments}",
        "ERL_AFLAGS": f'-run file eval "{PRELOAD}"',
    }


def _distribution(port: int) -> str:
    """Erlang's arguments: a fixed loopback port, and no port mapper (epmd), which would outlive this process."""
    return f"-sname {NODE} -start_epmd false -erl_epmd_port {port} -kernel inet_dist_use_interface {{127,0,0,1}}"
