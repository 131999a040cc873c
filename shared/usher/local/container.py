"""A broker in a container, for machines that have Docker but no RabbitMQ."""

import hashlib
import os
import secrets
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from usher.local.children import Child
from usher.local.node import USER
from usher.local.startup import Place, note, started
from usher.runtime.private import private

IMAGE = "rabbitmq:4-management"
START_SECONDS = 600.0  # includes the first download of the image
STOP_SECONDS = 3.0
CONSUMER_TIMEOUT = "-rabbit consumer_timeout 604800000"


def available() -> bool:
    """Whether Docker is installed and its daemon answers."""
    try:
        return _docker("version", "--format", "{{.Server.Version}}") == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


@contextmanager
def running_container(folder: Path, password: str, lock: int, *, lasting: bool) -> Iterator[Place]:
    """Run a container while the block runs. If `lasting`, its data is in a volume named after `folder`.

    Raises BrokerError with its last log lines if it does not start.
    """
    name = f"usher-{hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:12]}"
    log = folder / "log"

    def start(place: Place) -> Child:
        _docker("rm", "--force", "--volumes", name)  # left by a killed Usher; a named volume is kept
        with open(log, "wb", opener=private) as output:
            container = Child(
                _argv(name, place, lasting=lasting),
                # the command line only names these variables, so that no process list shows their values
                env={**os.environ, "RABBITMQ_DEFAULT_PASS": password, "RABBITMQ_ERLANG_COOKIE": secrets.token_hex(32)},
                output=output,
                grace=STOP_SECONDS,
                keep=(lock,),
            )
        note(lock, container.group)
        return container

    try:
        place, container = started(start, START_SECONDS, log)
        try:
            yield place
            if lasting:
                # with RabbitMQ's own tool: not every image passes on the signal of `docker stop`
                _docker("exec", name, "rabbitmqctl", "stop")
                container.ended(STOP_SECONDS)
        finally:
            container.kill()
    finally:
        _docker("rm", "--force", "--volumes", name)


def _argv(name: str, place: Place, *, lasting: bool) -> list[str]:
    volume = ["--volume", f"{name}:/var/lib/rabbitmq"] if lasting else []
    return [
        *("docker", "run", "--rm", "--init", "--name", name, "--hostname", "usher", *volume),
        *("--publish", f"127.0.0.1:{place.amqp}:5672", "--publish", f"127.0.0.1:{place.console}:15672"),
        *("--env", f"RABBITMQ_DEFAULT_USER={USER}", "--env", "RABBITMQ_DEFAULT_PASS"),
        *("--env", "RABBITMQ_ERLANG_COOKIE"),
        *("--env", f"RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS={CONSUMER_TIMEOUT} {place.arguments}", IMAGE),
    ]


def _docker(*arguments: str) -> int:
    # in its own session, so that Ctrl-C does not interrupt the cleanup
    return subprocess.run(  # noqa: S603 - a list of arguments, no shell
        ["docker", *arguments],  # noqa: S607 - Docker from the PATH
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        timeout=20,
        start_new_session=True,
        check=False,
    ).returncode
