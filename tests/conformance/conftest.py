"""Runs the same tests on the broker in memory and on RabbitMQ. A world has one of them, and an operator for it."""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Protocol

import httpx
import pytest
from pydantic import SecretStr

from crashes.loop import SimulatedLoop
from crashes.memory.broker import MemoryBroker
from usher.broker import amqp
from usher.broker.port import Argument, Channel, Connection, Delivered, Dial, Envelope
from usher.local.choose import Broker

HERE = Path(__file__).parent
HEARTBEAT = 10
SECONDS = 10.0
"""How long to wait for something that must happen."""
NOTHING = 0.15
"""How long to wait before concluding that nothing happens."""
STEPS = 100_000
"""After this many callbacks, a test of the broker in memory is considered to spin."""
QUORUM: dict[str, Argument] = {"x-queue-type": "quorum", "x-delivery-limit": 1_000_000}
SINGLE: dict[str, Argument] = {**QUORUM, "x-single-active-consumer": True}
STREAM: dict[str, Argument] = {"x-queue-type": "stream"}


class Operator(Protocol):
    """A person with the management console."""

    async def delete_queue(self, name: str) -> None: ...

    async def purge(self, name: str) -> None: ...

    async def close_connection(self, name: str) -> None: ...

    async def trim(self, stream: str) -> None: ...


class MemoryOperator:
    """An operator of the broker in memory."""

    def __init__(self, broker: MemoryBroker) -> None:
        self._broker = broker

    async def delete_queue(self, name: str) -> None:
        self._broker.delete_queue(name)

    async def purge(self, name: str) -> None:
        self._broker.purge(name)

    async def close_connection(self, name: str) -> None:
        next(wire for wire in self._broker.wires if wire.name == name).cut()

    async def trim(self, stream: str) -> None:
        self._broker.trim(stream, 20)


class RealOperator:
    """An operator of RabbitMQ, with its management console."""

    def __init__(self, broker: Broker, vhost: str) -> None:
        self._console, self._credentials, self._vhost = broker.console, broker.credentials, vhost

    async def delete_queue(self, name: str) -> None:
        await self._request("DELETE", f"/api/queues/{self._vhost}/{name}")

    async def purge(self, name: str) -> None:
        await self._request("DELETE", f"/api/queues/{self._vhost}/{name}/contents")

    async def close_connection(self, name: str) -> None:
        async with asyncio.timeout(SECONDS * 2):  # the console shows a connection with some seconds of delay
            while not (found := [c["name"] for c in await self._connections() if _name_of(c) == name]):
                await asyncio.sleep(0.2)
        await self._request("DELETE", f"/api/connections/{found[0]}")

    async def trim(self, stream: str) -> None:
        """Nothing to do: RabbitMQ trims streams by itself."""

    async def _connections(self) -> list[dict[str, dict[str, str]]]:
        return list((await self._request("GET", f"/api/vhosts/{self._vhost}/connections")).json())

    async def _request(self, method: str, path: str) -> httpx.Response:
        async with httpx.AsyncClient(base_url=self._console, auth=self._credentials, timeout=30) as console:
            answer = await console.request(method, path)
        return answer.raise_for_status()


def _name_of(connection: dict[str, dict[str, str]]) -> str | None:
    return connection.get("client_properties", {}).get("connection_name")


class Inbox:
    """The deliveries of a consumer, in order."""

    def __init__(self) -> None:
        self.got: list[Delivered] = []
        self.cancelled = asyncio.Event()
        self._arrived = asyncio.Event()

    def deliver(self, delivered: Delivered) -> None:
        self.got.append(delivered)
        self._arrived.set()

    async def first(self, count: int = 1) -> list[Delivered]:
        """Wait for this many deliveries, and return them."""
        async with asyncio.timeout(SECONDS):
            while len(self.got) < count:
                self._arrived.clear()
                await self._arrived.wait()
        return self.got[:count]

    async def only(self, count: int) -> list[Delivered]:
        """Wait for this many deliveries, and check that no more arrive."""
        await self.first(count)
        await asyncio.sleep(NOTHING)
        assert bodies(self.got) == bodies(self.got[:count])
        return self.got


def bodies(delivered: list[Delivered]) -> list[str]:
    return [one.envelope.body.decode() for one in delivered]


class World:
    """A broker and its clients."""

    def __init__(self, dial: Dial, url: str, operator: Operator) -> None:
        self.operator = operator
        self._dial, self._url = dial, url
        self._connections: list[Connection] = []

    async def connect(self, name: str = "") -> Connection:
        """Open a connection."""
        name = name or secrets.token_hex(4)
        self._connections.append(await self._dial(SecretStr(self._url), heartbeat=HEARTBEAT, name=name))
        return self._connections[-1]

    async def channel(self, connection: Connection | None = None, *, confirms: bool = True) -> Channel:
        """Open a channel, on a new connection if none is given."""
        return await (connection or await self.connect()).channel(confirms=confirms)

    async def consume(
        self,
        queue: str,
        prefetch: int = 1,
        *,
        channel: Channel | None = None,
        tag: str = "reader",
        **arguments: Argument,
    ) -> tuple[Channel, Inbox]:
        """Start a consumer, on a new channel if none is given."""
        inbox = Inbox()
        channel = channel or await self.channel(confirms=False)
        renamed = {f"x-{name.replace('_', '-')}": argument for name, argument in arguments.items()}
        await channel.consume(queue, tag, prefetch, inbox.deliver, inbox.cancelled.set, renamed)
        return channel, inbox

    async def queue(self, name: str, arguments: dict[str, Argument], *messages: str) -> Channel:
        """Declare a queue with these messages. Returns a channel for publishing more."""
        channel = await self.channel()
        await channel.declare_queue(name, arguments)
        await put(channel, name, *messages)
        return channel

    async def until_count(self, queue: str, count: int) -> None:
        """Wait until the queue has this many ready messages."""
        channel = await self.channel()
        async with asyncio.timeout(SECONDS):
            while await channel.count(queue) != count:
                await asyncio.sleep(0.01)

    async def close(self) -> None:
        for connection in self._connections:
            await connection.close()


async def put(channel: Channel, queue: str, *messages: str) -> None:
    """Publish these to the queue, one after the other."""
    for message in messages:
        await channel.publish("", queue, Envelope(message.encode(), message_id=message))


async def closed(channel: Channel | Connection) -> None:
    """Wait until it is closed."""
    async with asyncio.timeout(SECONDS):
        await channel.closed.wait()


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Run each test twice: in virtual time with the broker in memory, and with RabbitMQ."""
    return {"memory": lambda: SimulatedLoop(0, STEPS), "rabbitmq": asyncio.new_event_loop}


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests with RabbitMQ. Their fixtures don't say that they need a broker, since half of them don't."""
    for item in items:
        if HERE in item.path.parents and uses_rabbitmq(item):
            item.add_marker("programs" if item.path.name == "test_outages.py" else "real")
            item.add_marker("slow")


def uses_rabbitmq(item: pytest.Item) -> bool:
    """Whether this test runs with RabbitMQ, and not in virtual time."""
    return "[rabbitmq" in item.name


@pytest.fixture
def fresh(request: pytest.FixtureRequest) -> World:
    """A world with an empty broker. Only RabbitMQ needs the broker of the test run."""
    if not uses_rabbitmq(request.node):
        memory = MemoryBroker(now=time.time)
        return World(memory.dial, "amqp://memory/", MemoryOperator(memory))
    url = request.getfixturevalue("vhost_url")
    return World(amqp.dial, url, RealOperator(request.getfixturevalue("broker"), url.rpartition("/")[2]))


@pytest.fixture
async def world(fresh: World) -> AsyncIterator[World]:
    """A world that is closed at the end."""
    yield fresh
    await fresh.close()
