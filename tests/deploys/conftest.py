"""A world for the deploys service: a real broker, a real command that writes notes, and a reader of the journal."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, fields
from pathlib import Path

import httpx
import pytest

from deploys.jobs import base_environment
from deploys.runner import make_runner
from deploys.service import Deploys
from usher.broker import topology
from usher.broker.journal import Journal, follow
from usher.broker.link import Link, connect, keep
from usher.broker.places import Memory
from usher.broker.publisher import Publisher
from usher.core.events import Event
from usher.core.issues import Issue
from usher.core.messages import BackMessage
from usher.core.states import Change
from usher.core.versions import VERSION
from usher.runtime.clock import SystemClock
from usher.runtime.listening import free_ports
from usher.runtime.service import Stop
from usher.settings import Settings

COMMAND = """
import json, os, sys, time
from pathlib import Path
folder, *arguments = sys.argv[1:]
def note(what):
    with open(folder + "/notes", "a") as file:
        file.write(json.dumps({"what": what, "at": time.time(), "deploy": os.environ["USHER_DEPLOY"],
                               "server": arguments[0], "issues": arguments[1:],
                               "env": {k: v for k, v in os.environ.items() if k.startswith("USHER_")}}) + "\\n")
note("begin")
while (Path(folder) / ("block-" + arguments[0])).exists():
    time.sleep(0.01)
fail = Path(folder) / ("fail-" + arguments[0])
note("end")
if fail.exists():
    print("it went wrong")
    sys.exit(2)
"""


@dataclass
class World:
    """What a test does and sees: it publishes moves, blocks or fails commands, and waits for events."""

    settings: Settings
    folder: Path
    link: Link
    publisher: Publisher
    seen: list[Event] = field(default_factory=list)
    journal: Journal = field(init=False)
    news: asyncio.Event = field(default_factory=asyncio.Event)

    def observe(self, event: Event, changes: tuple[Change, ...]) -> None:
        self.seen.append(event)
        self.news.set()

    async def publish(self, *moves: str) -> list[BackMessage]:
        """Publish moves like `ABC-1 beta`."""
        published = []
        for move in moves:
            key, status = move.split()
            issue = Issue.parse(key)
            server = self.settings.catalogue.find(issue.project, status)
            published.append(BackMessage.of(issue, server, source="api", now=SystemClock().now()))
            await self.publisher.message(published[-1])
        return published

    async def until(self, condition: Callable[[], bool], seconds: float = 20) -> None:
        """Wait until events in the journal make the condition true."""
        async with asyncio.timeout(seconds):
            while not condition():
                self.news.clear()
                await self.news.wait()

    async def until_noted(self, count: int, what: str = "begin") -> list[dict[str, object]]:
        """Wait until commands have written `count` such notes."""
        async with asyncio.timeout(20):
            while len(notes := [note for note in self.notes() if note["what"] == what]) < count:
                await asyncio.sleep(0.01)
        return notes

    async def until_consumed(self, server: str) -> None:
        """Wait until somebody consumes that server's queue."""
        async with asyncio.timeout(20):
            while not await self.consumers(server):
                await asyncio.sleep(0.02)

    async def until_free(self, server: str) -> None:
        """Wait until nobody consumes that server's queue."""
        async with asyncio.timeout(20):
            while await self.consumers(server):
                await asyncio.sleep(0.02)

    async def consumers(self, server: str) -> int:
        """How many processes consume that server's queue."""
        name = topology.server_queue(server)
        async with self.link.publishing.raw.channel() as channel:
            return (await channel.declare_queue(name, passive=True)).declaration_result.consumer_count or 0

    async def publish_newer(self, message: BackMessage) -> None:
        """Publish a message that only readers of a newer version understand."""
        facts = {one.name: getattr(message, one.name) for one in fields(message)}
        newer = type("Newer", (BackMessage,), {"needs": VERSION + 1})(**facts)
        await self.publisher.message(newer)

    def of(self, kind: str) -> list[Event]:
        return [event for event in self.seen if event.kind == kind]

    def notes(self) -> list[dict[str, object]]:
        """The notes that commands have written."""
        path = self.folder / "notes"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def block(self, server: str) -> Path:
        """Make commands of that server run until the returned file is deleted."""
        path = self.folder / f"block-{server}"
        path.touch()
        return path

    def fail(self, server: str) -> Path:
        """Make commands of that server fail until the returned file is deleted."""
        path = self.folder / f"fail-{server}"
        path.touch()
        return path

    @asynccontextmanager
    async def deploys(self, name: str = "deploys") -> AsyncIterator[Deploys]:
        """Run the service under that name; stop it cleanly on leaving."""
        stop = Stop()
        environment = base_environment(self.settings, {"PATH": "/usr/bin:/bin"})
        service = Deploys(self.settings, environment, stop, SystemClock(), make_runner(self.settings.deploys))
        running = asyncio.create_task(keep(self.settings.broker, name, service.session, stop))
        try:
            yield service
        finally:
            stop.set()
            await running


@pytest.fixture
async def make_world(make_settings: Callable[..., Settings], tmp_path: Path) -> AsyncIterator[Callable[..., object]]:
    """Makes worlds with given settings: `await make_world(DEPLOYS__MAX_ISSUES="2")`."""
    async with AsyncExitStack() as stack:

        async def make(**variables: str) -> World:
            command = json.dumps([sys.executable, "-c", COMMAND, str(tmp_path), "{server}", "{issues}"])
            settings = make_settings(**{"DEPLOYS__COMMAND": command, **variables})
            link = await stack.enter_async_context(connect(settings.broker, "test"))
            await topology.declare(link, settings.catalogue)
            publisher = await Publisher.open(link, "test")
            world = World(settings, tmp_path, link, publisher)
            world.journal = await stack.enter_async_context(
                follow(link, publisher, SystemClock(), "test", Memory(), world.observe)
            )
            return world

        yield make


class Program:
    """The service as a separate program, with the settings of a world and `more` variables. `begin` runs in its process
    before it."""

    def __init__(self, world: World, begin: Callable[[], None] | None = None, **more: str) -> None:
        (port,) = free_ports(0)
        settings, self.url = world.settings, f"http://127.0.0.1:{port}"
        deploys, window = settings.deploys, settings.window.window()
        own = {
            "CONFIG": str(world.folder / "example.toml"),
            "BROKER__URL": settings.broker.url[0].get_secret_value(),
            "BROKER__HEARTBEAT": f"{settings.broker.heartbeat.total_seconds()}s",
            "DEPLOYS__PORT": str(port),
            "DEPLOYS__COMMAND": json.dumps(deploys.command),
            "DEPLOYS__SILENCE": f"{deploys.silence.total_seconds()}s",
            "DEPLOYS__GRACE": f"{deploys.grace.total_seconds()}s",
            "DEPLOYS__DRAIN": f"{deploys.drain.total_seconds()}s",
            "WINDOW__QUIET": f"{window.quiet}ms",
            "WINDOW__CAP": f"{window.cap}ms",
            "WINDOW__FLOOR": "0s",
            **more,
        }
        self._process = subprocess.Popen(
            [sys.executable, "-m", "deploys"],
            cwd=world.folder,
            preexec_fn=begin,
            env=os.environ | {f"USHER_{name}": value for name, value in own.items()},
            stderr=subprocess.STDOUT,
            stdout=subprocess.PIPE,
            text=True,
        )

    async def until_ready(self, ready: bool = True) -> None:
        """Wait until `/ready` says that it is ready, or not ready."""
        async with asyncio.timeout(20), httpx.AsyncClient(base_url=self.url) as client:
            while await self._status(client) != (httpx.codes.OK if ready else httpx.codes.SERVICE_UNAVAILABLE):
                await asyncio.sleep(0.02)

    async def _status(self, client: httpx.AsyncClient) -> int | None:
        try:
            return (await client.get("/ready")).status_code
        except httpx.TransportError:
            return None

    def signal(self, number: int) -> None:
        self._process.send_signal(number)

    async def ended(self) -> tuple[int, str]:
        """Its exit code and everything that it logged."""
        output, _ = await asyncio.wait_for(asyncio.to_thread(self._process.communicate), 20)
        return self._process.returncode, output

    async def close(self) -> None:
        if self._process.poll() is None:
            self._process.kill()
        if self._process.stdout and not self._process.stdout.closed:
            await asyncio.to_thread(self._process.communicate)


@pytest.fixture
async def start() -> AsyncIterator[Callable[..., Program]]:
    """Starts the service as a program in a world."""
    started: list[Program] = []

    def start(world: World, begin: Callable[[], None] | None = None, **more: str) -> Program:
        started.append(Program(world, begin, **more))
        return started[-1]

    yield start
    for program in started:
        await program.close()
