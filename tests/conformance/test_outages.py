"""The broker loses power, or runs short of memory: the broker in memory, and one in a container of these tests."""

import asyncio
import secrets
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Protocol

import pytest

from conformance.conftest import (
    NOTHING,
    QUORUM,
    SINGLE,
    STREAM,
    Inbox,
    MemoryOperator,
    RealOperator,
    World,
    bodies,
    closed,
    put,
    uses_rabbitmq,
)
from crashes.memory.broker import MemoryBroker
from faults.containers import Container, own_container
from usher.broker import amqp
from usher.broker.port import Argument, Channel, Connection, Envelope, Kind
from usher.core.errors import BrokerError

ALARM_SECONDS = 30.0
START_SECONDS = 60.0
YOUNG_SECONDS = 3.0
"""A queue that is younger than this when its node is killed cannot be consumed afterwards."""


class Machine(Protocol):
    """The machine of the broker."""

    async def kill(self) -> None: ...

    async def start(self) -> None: ...

    async def raise_alarm(self) -> None: ...

    async def clear_alarm(self) -> None: ...


class MemoryMachine:
    """The machine of the broker in memory."""

    def __init__(self, broker: MemoryBroker) -> None:
        self._broker = broker

    async def kill(self) -> None:
        self._broker.stop()

    async def start(self) -> None:
        self._broker.start()

    async def raise_alarm(self) -> None:
        self._broker.raise_alarm()

    async def clear_alarm(self) -> None:
        self._broker.clear_alarm()


class ContainerMachine:
    """A container with the newest RabbitMQ."""

    def __init__(self, container: Container) -> None:
        self._container = container

    async def kill(self) -> None:
        await asyncio.sleep(YOUNG_SECONDS)
        await asyncio.to_thread(self._container.kill)

    async def start(self) -> None:
        await asyncio.to_thread(self._container.start)

    async def raise_alarm(self) -> None:
        await asyncio.to_thread(self._container.ctl, "set_vm_memory_high_watermark", "0.0000001")

    async def clear_alarm(self) -> None:
        await asyncio.to_thread(self._container.ctl, "set_vm_memory_high_watermark", "0.4")


@pytest.fixture(scope="module")
def container() -> Iterator[Container]:
    with own_container() as container:
        yield container


@pytest.fixture
def both(request: pytest.FixtureRequest) -> tuple[World, Machine]:
    """A world, and the machine of its broker."""
    if not uses_rabbitmq(request.node):
        memory = MemoryBroker(now=time.time)
        return World(memory.dial, "amqp://memory/", MemoryOperator(memory)), MemoryMachine(memory)
    container: Container = request.getfixturevalue("container")
    vhost = f"test-{secrets.token_hex(6)}"
    container.console("PUT", f"vhosts/{vhost}")
    broker = replace(container.broker, url=container.broker.url_of(vhost))
    return World(amqp.dial, broker.url, RealOperator(broker, vhost)), ContainerMachine(container)


@pytest.fixture
def fresh(both: tuple[World, Machine]) -> World:
    return both[0]


@pytest.fixture
def machine(both: tuple[World, Machine]) -> Machine:
    return both[1]


async def test_confirmed_messages_survive_a_power_cut_and_held_ones_come_first(world: World, machine: Machine) -> None:
    publishing = await world.queue("q", SINGLE, "1", "2")
    await world.queue("s", STREAM, "1")
    channel, inbox = await world.consume("q")
    await inbox.first()
    await machine.kill()
    await closed(channel)
    await closed(publishing)
    with pytest.raises(BrokerError, match="no broker answers"):
        await world.connect()
    await machine.start()
    _, inbox = await consume_when_led(world, "q")
    assert bodies(await inbox.only(2)) == ["1", "2"]
    assert [got.redelivered for got in inbox.got] == [True, False]
    assert inbox.got[0].envelope.headers["x-delivery-count"] == 1
    _, inbox = await consume_when_led(world, "s", stream_offset="first")
    assert bodies(await inbox.only(1)) == ["1"]


async def consume_when_led(world: World, queue: str, **arguments: Argument) -> tuple[Channel, Inbox]:
    """Consume the queue as soon as it has a leader again."""
    async with asyncio.timeout(START_SECONDS):
        while True:
            try:
                return await world.consume(queue, 10, **arguments)
            except BrokerError:
                await asyncio.sleep(0.2)


async def test_during_an_alarm_publishers_are_blocked_and_consumers_are_not(world: World, machine: Machine) -> None:
    publisher = await world.connect()
    channel = await publisher.channel(confirms=True)
    await channel.declare_exchange("probe", Kind.FANOUT)
    await channel.declare_queue("q", QUORUM)
    reading, inbox = await world.consume("q")
    await put(channel, "q", "1", "2")
    await inbox.first()
    await machine.raise_alarm()
    try:
        await until_blocked(publisher, channel)
        publishing = asyncio.create_task(put(channel, "q", "waits"))
        await reading.ack(inbox.got[0].tag)
        assert bodies(await inbox.only(2)) == ["1", "2"]
        given_up = asyncio.create_task(put(channel, "q", "given up"))
        opening = asyncio.create_task(publisher.channel(confirms=False))
        await asyncio.sleep(NOTHING)
        assert not any(task.done() for task in (publishing, given_up, opening))
        given_up.cancel()
    finally:
        await machine.clear_alarm()
    async with asyncio.timeout(ALARM_SECONDS):
        await publisher.unblocked()
        await asyncio.gather(publishing, opening)
    await reading.ack(inbox.got[1].tag)
    await reading.ack((await inbox.first(3))[2].tag)
    # the message that was given up had already been sent, and is accepted like any other
    assert bodies(await inbox.only(4)) == ["1", "2", "waits", "given up"]


async def until_blocked(publisher: Connection, channel: Channel) -> None:
    """Publish until the connection is blocked: only publishing connections are."""
    noticed = asyncio.create_task(publisher.blocked())
    async with asyncio.timeout(ALARM_SECONDS):
        while not noticed.done():
            probe = asyncio.create_task(channel.publish("probe", "", Envelope(b""), mandatory=False))
            await asyncio.wait((probe, noticed), return_when=asyncio.FIRST_COMPLETED)
            await asyncio.wait((noticed,), timeout=0.05)
            probe.cancel()
            await asyncio.gather(probe, return_exceptions=True)
