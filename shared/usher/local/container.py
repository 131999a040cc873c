"""A broker in a container of our own, for machines that have Docker and no RabbitMQ."""

import hashlib
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from usher.local.children import Child
from usher.local.node import USER, Ports, answer, note

IMAGE = "rabbitmq:4-management"
START_SECONDS = 600.0  # the first time the image is downloaded
STOP_SECONDS = 3.0
CONSUMER_TIMEOUT = "-rabbit consumer_timeout 604800000"


def available() -> bool:
    """Whether Docker is there and its daemon answers."""
    try:
        return _docker("version", "--format", "{{.Server.Version}}") == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


@contextmanager
def running_container(folder: Path, password: str, lock: int, *, lasting: bool) -> Iterator[Ports]:
    """Run a container for as long as the block runs; its data are in a volume named after `folder` if `lasting`.

    Raises BrokerError with its last lines if it does not start.
    """
    ports = Ports.free()
    name = f"usher-{hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:12]}"
    log = folder / "log"
    _docker("rm", "--force", "--volumes", name)  # left by an Usher that was killed; a named volume stays
    with log.open("wb") as output:
        container = Child(
            _argv(name, ports, lasting=lasting),
            # by name alone on the command line, so that the password is in no list of processes
            env={**os.environ, "RABBITMQ_DEFAULT_PASS": password},
            output=output,
            grace=STOP_SECONDS,
            keep=(lock,),
        )
    note(lock, container.group)
    try:
        answer(ports.amqp, container, START_SECONDS, log)
        yield ports
        if lasting:
            # asked by RabbitMQ's own tool: not every image passes the signal of `docker stop` on to it
            _docker("exec", name, "rabbitmqctl", "stop")
            container.ended(STOP_SECONDS)
    finally:
        _docker("rm", "--force", "--volumes", name)
        container.kill()


def _argv(name: str, ports: Ports, *, lasting: bool) -> list[str]:
    volume = ["--volume", f"{name}:/var/lib/rabbitmq"] if lasting else []
    return [
        *("docker", "run", "--rm", "--init", "--name", name, "--hostname", "usher", *volume),
        *("--publish", f"127.0.0.1:{ports.amqp}:5672", "--publish", f"127.0.0.1:{ports.console}:15672"),
        *("--env", f"RABBITMQ_DEFAULT_USER={USER}", "--env", "RABBITMQ_DEFAULT_PASS"),
        *("--env", f"RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS={CONSUMER_TIMEOUT}", IMAGE),
    ]


def _docker(*arguments: str) -> int:
    # in a session of its own: Ctrl-C must not cut the cleaning up
    return subprocess.run(  # noqa: S603 - a list of arguments, no shell
        ["docker", *arguments],  # noqa: S607 - wherever Docker is
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        timeout=20,
        start_new_session=True,
        check=False,
    ).returncode
