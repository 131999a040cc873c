"""A docker compose project whose parts can be killed, cut off and restarted."""

import json
import os
import random
import secrets
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from faults.checker import History, Places, Redeliveries, Row
from faults.containers import docker, until
from faults.notes import COMMAND, Accepted, Notes

ROOT = Path(__file__).parents[2]
PASSWORD = secrets.token_hex(16)


def settings(plan: Mapping[str, object], more: str) -> str:
    """A `usher.toml` with two projects of two servers each, and a command that takes notes and follows the plan."""
    argv = ["python", "-c", COMMAND, "/notes/notes", json.dumps(plan), "{server}", "{issues}"]
    projects = "".join(f'[projects.{project}]\nstatuses = ["test", "beta"]\n' for project in ("abc", "def"))
    return f"{projects}[deploys]\ncommand = {json.dumps(argv)}\n{more}"


CONSUME = """
import asyncio, contextlib
from usher.broker.consumer import consume
from usher.broker.link import connect
from usher.settings import load

async def main():
    async with connect(load().broker, "test") as link:
        async with consume(link, "usher.parked", "test", prefetch=65535) as consumer:
            with contextlib.suppress(TimeoutError):
                while True:
                    async with asyncio.timeout(1):
                        print((await consumer.get()).message_id)

asyncio.run(main())
"""


@dataclass(frozen=True)
class StackPlaces(Places):
    """The same, with the container in which `usher.parked` is read."""

    reader: str

    def parked(self) -> set[str]:
        """Consume the queue, and return everything to it by closing the channel.

        Not as usual: before RabbitMQ 4.1.1, after the console has looked at more than 32 messages, the members of the
        queue can disagree about their order, and then about which of them are acked
        (https://github.com/rabbitmq/rabbitmq-server/pull/13971).
        """
        return set(docker("exec", self.reader, "python", "-c", CONSUME).split())


SERVERS = {f"{status}.{project}.wwts.com" for status in ("test", "beta") for project in ("abc", "def")}


@dataclass(frozen=True)
class Stack:
    """A project of a compose file, with its own name and address."""

    file: str
    project: str
    host: str
    folder: Path
    environment: dict[str, str]
    ports: Mapping[str, int]
    notes: Notes
    redeliveries: Redeliveries = field(default_factory=Redeliveries)

    def run(self, *arguments: str) -> str:
        """Run docker compose and return its output. Raises AssertionError with the whole output if it fails."""
        files = [option for path in (self.file, self.folder / "more.yml") for option in ("--file", str(path))]
        command = ["docker", "compose", "--project-name", self.project, *files, *arguments]
        done = subprocess.run(command, cwd=ROOT, env=self.environment, capture_output=True, text=True, timeout=600)
        assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def config(self) -> dict[str, Any]:
        """The project's configuration, as docker compose parses it."""
        return dict(json.loads(self.run("config", "--format", "json")))

    def up(self) -> None:
        """Start everything, and wait until it is healthy."""
        self.run("up", "--detach", "--wait", "--wait-timeout", "180")

    def healthy(self, name: str) -> bool:
        """Whether that part reports that it is healthy."""
        return docker("inspect", "--format", "{{.State.Health.Status}}", f"{self.project}-{name}-1") == "healthy\n"

    def kill(self, *names: str) -> None:
        """kill -9. Their disks are kept."""
        docker("kill", *(f"{self.project}-{name}-1" for name in names))

    def start(self, *names: str) -> None:
        """Start these again, without waiting."""
        docker("start", *(f"{self.project}-{name}-1" for name in names))

    def cut_off(self, name: str) -> None:
        """Disconnect it from the network: nothing reaches it or comes from it, and no connection is closed."""
        docker("network", "disconnect", f"{self.project}_default", f"{self.project}-{name}-1")

    def connect(self, name: str) -> None:
        """Connect it to the network again."""
        docker("network", "connect", "--alias", name, f"{self.project}_default", f"{self.project}-{name}-1")

    @property
    def url(self) -> str:
        """Where messages are sent."""
        return f"http://{self.host}:{self.ports['trackers']}"

    @property
    def places(self) -> Places:
        """Where the checker looks."""
        successes, console = (f"http://{self.host}:{self.ports[name]}" for name in ("successes", "console"))
        reader = f"{self.project}-{'successes-1' if 'cluster' in self.file else 'successes'}-1"
        return StackPlaces(lambda: successes, console, ("usher", PASSWORD), "%2F", reader)

    def get(self, path: str) -> Any:
        """The answer of the API of `successes`. Raises httpx.HTTPError."""
        return httpx.get(self.places.successes() + path, timeout=20).raise_for_status().json()

    def queues(self) -> dict[str, Row]:
        """The console's data of each queue, empty if it does not answer. Redeliveries are counted."""
        try:
            queues = self.places.queues(streams=True)
        except httpx.HTTPError:
            return {}
        self.redeliveries.look(queues)
        return queues

    def partitioned(self) -> str | None:
        """The broker that is partitioned from the two others although the network works, if the console shows one. It
        stays partitioned until it is restarted (https://www.rabbitmq.com/docs/partitions)."""
        try:
            answer = httpx.get(f"{self.places.console}/api/nodes", auth=self.places.user, timeout=20).raise_for_status()
        except httpx.HTTPError:
            return None
        for node in answer.json():
            match node.get("partitions"):
                case [other]:
                    return str(other).removeprefix("rabbit@")
                case [_, _]:
                    return str(node["name"]).removeprefix("rabbit@")
        return None

    def wait(self, condition: Callable[[], object], what: str, seconds: float = 90) -> float:
        """Wait until the condition holds. Returns how long it took (s). Raises AssertionError with the members of the
        queues and the ends of all logs."""
        try:
            return until(condition, what, seconds)
        except AssertionError as late:
            online = {name: queue.get("online") for name, queue in self.queues().items()}
            raise AssertionError(f"{late}\n{online}\n{self.run('logs', '--no-color', '--tail=40')}") from None

    def verify(self, accepted: list[Accepted], seconds: float = 180) -> History:
        """Wait until everything is settled, and check that every promise was kept."""
        histories: list[History] = []

        def settled() -> bool:
            try:
                histories[:] = [History.observe(accepted, self.notes, self.places)]
            except httpx.HTTPError:
                return False
            self.queues()
            return not histories[0].unsettled()

        try:
            self.wait(settled, "everything is settled", seconds)
        except AssertionError as late:
            raise AssertionError(f"{histories and histories[0].unsettled()[:20]}\n{late}") from None
        if faults := histories[0].faults():
            raise AssertionError("\n".join(map(str, faults[:20])))
        return histories[0]


@contextmanager
def stacked(
    file: str, folder: Path, toml: str, ports: Mapping[str, int], more: Callable[[Stack], dict[str, Any]]
) -> Iterator[Stack]:
    """Build and start all parts, on a loopback address of their own. At the end they are removed with their disks.

    `more` returns additional services, or additions to services. It may call `config`.
    """
    folder.chmod(0o755)
    (folder / "usher.toml").write_text(toml)
    (folder / "notes").mkdir()
    (folder / "notes").chmod(0o777)
    (folder / "more.yml").write_text("services: {}\n")
    (folder / "password").write_text(PASSWORD)
    (folder / "password").chmod(0o444)
    host = ".".join(["127", *(str(random.randint(2, 250)) for _ in range(3))])
    own = {
        "USHER_BIND": host,
        "USHER_TOML": str(folder / "usher.toml"),
        "RABBITMQ_PASSWORD": PASSWORD,
        "RABBITMQ_PASSWORD_FILE": str(folder / "password"),
        "RABBITMQ_COOKIE": secrets.token_hex(16),
        "POSTGRES_PASSWORD": secrets.token_hex(16),
    }
    kept = {name: value for name, value in os.environ.items() if not name.startswith("USHER_")}
    project = f"usher-faults-{secrets.token_hex(4)}"
    stack = Stack(file, project, host, folder, kept | own, ports, Notes(folder / "notes" / "notes"))
    services = more(stack)
    # separate image names: these builds must not be mistaken for the shipped images
    built = [name for name, service in stack.config()["services"].items() if "build" in service]
    for name in [*built, *(set(services) - set(built))]:
        services.setdefault(name, {})["image"] = f"{project}-{name}"
    (folder / "more.yml").write_text(json.dumps({"services": services}))
    stack.run("build", "--quiet")
    try:
        stack.up()
        yield stack
    finally:
        stack.run("down", "--volumes", "--timeout", "5")
        docker("image", "rm", *(f"{project}-{name}" for name in services))


def noting(stack: Stack) -> dict[str, Any]:
    """What to add to a service whose commands take notes."""
    return {"volumes": [f"{stack.folder / 'notes'}:/notes"]}
