"""Shared by the tests of the door: recorded bodies, the running service, and what has reached the broker."""

import asyncio
import csv
import json
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from trackers.service import serve_on
from usher.broker import topology
from usher.broker.consumer import consume
from usher.broker.journal import follow
from usher.broker.link import connect
from usher.broker.places import Memory
from usher.broker.publisher import Publisher
from usher.core.events import decode_message, decode_order
from usher.core.ignored import IgnoredMove, decode_ignored
from usher.core.messages import BackMessage
from usher.core.orders import WithdrawOrder
from usher.runtime.clock import SystemClock
from usher.runtime.listening import listen
from usher.settings import Settings

OWN = Path(__file__).parent / "bodies"

Running = Callable[[Settings], AbstractAsyncContextManager[httpx.AsyncClient]]


@dataclass(frozen=True)
class Recorded:
    """A recorded body, and the `key` and `to` of its move, if it contains one."""

    name: str
    body: bytes
    key: str
    to: str
    moves: bool


def _recorded(folder: Path) -> Iterable[Recorded]:
    with (folder / "INDEX.tsv").open(encoding="utf-8", newline="") as index:
        for row in csv.DictReader(index, delimiter="\t"):
            moves = row["has_status_transition"] == "y" or row["status_item_kind"].startswith("initial")
            body = (folder / row["file"]).read_bytes()
            yield Recorded(f"{folder.name}/{row['file']}", body, row["issue_key"], row["to_status"], moves)


CORPUS = [
    *_recorded(OWN),
    *(_recorded(Path(os.environ["USHER_CORPUS"])) if os.environ.get("USHER_CORPUS") else ()),
]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test that uses `recorded` runs once per body: the bodies here, and those in the folder `USHER_CORPUS`."""
    if "recorded" in metafunc.fixturenames:
        metafunc.parametrize("recorded", [pytest.param(recorded, id=recorded.name) for recorded in CORPUS])


@pytest.fixture
def corpus() -> list[Recorded]:
    """All recorded bodies."""
    return CORPUS


@pytest.fixture
def cloud_move() -> dict[str, Any]:
    """A fresh copy of what Jira Cloud sends when PEAR-12 is moved to Beta."""
    return json.loads((OWN / "cloud-moved.json").read_bytes())


@pytest.fixture
def running() -> Running:
    """Runs the real service on a real broker while the block runs. Gives an HTTP client once the service is ready."""

    @asynccontextmanager
    async def run(settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
        stop = asyncio.Event()
        with listen(settings.trackers.host, settings.trackers.port, "trackers") as listening:
            service = asyncio.create_task(serve_on(listening, settings, stop))
            base = f"http://127.0.0.1:{listening.getsockname()[1]}"
            try:
                async with httpx.AsyncClient(base_url=base, timeout=30, trust_env=False) as http:
                    await answers(http, 200)
                    yield http
            finally:
                stop.set()
                await service

    return run


async def answers(http: httpx.AsyncClient, code: int, path: str = "/ready", seconds: float = 15) -> None:
    """Wait until that page answers with that status code."""
    async with asyncio.timeout(seconds):
        while (await http.get(path)).status_code != code:
            await asyncio.sleep(0.05)


@pytest.fixture
def until() -> Callable[..., Awaitable[None]]:
    """`await until(http, 503)`: wait at most 15 s until /ready answers 503."""
    return answers


@pytest.fixture
def journal() -> Callable[[Settings], Awaitable[list[BackMessage]]]:
    """All messages that are in the journal now, in order."""

    async def read(settings: Settings) -> list[BackMessage]:
        found: list[BackMessage] = []

        def note(event: object, _: object) -> None:
            if isinstance(event, BackMessage):
                found.append(event)

        async with (
            connect(settings.broker, "test") as link,
            follow(link, await Publisher.open(link, "test"), SystemClock(), "test", Memory(), note),
        ):
            return found

    return read


@pytest.fixture
def orders() -> Callable[[Settings], Awaitable[list[WithdrawOrder]]]:
    """All orders to withdraw that are in the orders queue now."""

    async def read(settings: Settings) -> list[WithdrawOrder]:
        found = [decode_order(body) for body in await waiting_in(settings, topology.ORDERS)]
        return [order for order in found if isinstance(order, WithdrawOrder)]

    return read


@pytest.fixture
def ignored_moves() -> Callable[[Settings], Awaitable[list[IgnoredMove]]]:
    """All ignored moves that nobody has recorded yet."""

    async def read(settings: Settings) -> list[IgnoredMove]:
        return [decode_ignored(body) for body in await waiting_in(settings, topology.IGNORED)]

    return read


async def waiting_in(settings: Settings, queue: str) -> list[bytes]:
    """The bodies in that queue. They stay there."""
    async with connect(settings.broker, "test") as link:
        channel = await link.publishing.channel(confirms=False)
        count = await channel.count(queue)
        async with consume(link, queue, "test", prefetch=1000) as consumer, asyncio.timeout(10):
            return [(await consumer.get()).body for _ in range(count)]


@pytest.fixture
def first_in_queue() -> Callable[[Settings, str], Awaitable[BackMessage]]:
    """The first message of a server's queue."""

    async def read(settings: Settings, server: str) -> BackMessage:
        async with (
            asyncio.timeout(10),
            connect(settings.broker, "test") as link,
            consume(link, topology.server_queue(server), "test", prefetch=1) as consumer,
        ):
            return decode_message((await consumer.get()).body)

    return read
