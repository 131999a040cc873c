"""A temporary Usher, with its own broker, directory and ports. It is gone when the block ends."""

import os
import sys
import tempfile
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from usher.api.client import SERVICES
from usher.cli import toml
from usher.demo.story import SETTINGS
from usher.local.choose import running_broker
from usher.settings import Settings, parse
from usher.settings.fields import PREFIX
from usher.settings.load import CONFIG
from usher.up import programs, running_services

Say = Callable[[str], None]


@contextmanager
def temporary_usher(say: Say) -> Iterator[Settings]:
    """Run an Usher while the block runs, and yield its settings. `say` gets a line before each slow step.

    It ignores the user's settings, so that none of the user's commands can run. Raises UsherError.
    """
    lines: deque[str] = deque(maxlen=20)
    with _clean_environment(), tempfile.TemporaryDirectory(prefix="usher-demo-") as name:
        folder = Path(name)
        text = _text(folder)
        (folder / "usher.toml").write_text(text, "utf-8")
        settings = parse(text, "the demo's settings")
        with running_broker(settings, folder / "broker", lasting=False, say=lambda line: say(f"{line} …")) as broker:
            wanted = programs(settings)
            environment = {CONFIG: str(folder / "usher.toml"), "USHER_BROKER__URL": broker.url}
            say("starting trackers, deploys and successes …")
            with running_services(wanted, environment, lambda who, line: lines.append(f"{who}: {line}")) as services:
                services.wait_ready()
                ports = {program.name: program.port for program in wanted}
                yield settings.model_copy(
                    update={
                        service: getattr(settings, service).model_copy(update={"port": ports[service]})
                        for service in SERVICES
                    }
                )
                say("stopping everything and removing its directory …")


def _text(folder: Path) -> str:
    command = [sys.executable, "-m", "usher.demo.command", "{server}", "{issues}"]
    return f"""{SETTINGS}
[deploys]
command = {toml.value(command)}
cwd = {toml.value(str(folder))}
logs = {toml.value(str(folder / "deploys"))}
port = 0
[trackers]
port = 0
[successes]
port = 0
ledger = {toml.value(f"sqlite:///{folder}/usher.db")}
"""


@contextmanager
def _clean_environment() -> Iterator[None]:
    """Remove Usher's variables from the environment, which the services inherit."""
    removed = {name: os.environ.pop(name) for name in list(os.environ) if name.startswith(PREFIX)}
    try:
        yield
    finally:
        os.environ.update(removed)
