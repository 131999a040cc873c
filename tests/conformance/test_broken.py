"""Faults that the broker in memory can have on demand, but RabbitMQ cannot."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field

import pytest
from pydantic import SecretStr

from conformance.conftest import QUORUM, SINGLE, STREAM, MemoryOperator, World, bodies, closed, put
from crashes.memory.broker import MemoryBroker
from crashes.memory.network import Disks, Kept, Network
from crashes.memory.wire import Wire
from usher.broker.port import Connection, Envelope, Gone, Kind, Refused
from usher.core.errors import BrokerError

pytestmark = pytest.mark.asyncio(loop_factories=["memory"])


class SlowNetwork(Network):
    """A network with latency, and with unreachable hosts."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.in_flight_arrives = True
        self.unreachable: list[str] = []

    def latency(self, host: str, to_broker: bool) -> float:
        return self.seconds

    def reaches(self, host: str) -> bool:
        return host not in self.unreachable

    def arrives(self, host: str, to_broker: bool) -> bool:
        return self.in_flight_arrives


@dataclass
class FaultyDisks(Disks):
    """Disks with a fixed behaviour per queue, and with late confirms."""

    behaviour: dict[str, Kept] = field(default_factory=dict)
    late: float | None = 0.0

    def keeps(self, queue: str, envelope: Envelope) -> Kept:
        return self.behaviour.get(queue, Kept.KEPT)

    def confirm_after(self, queues: Sequence[str]) -> float | None:
        return self.late


@pytest.fixture
def network() -> SlowNetwork:
    return SlowNetwork()


@pytest.fixture
def disks() -> FaultyDisks:
    return FaultyDisks()


@pytest.fixture
def broker(network: SlowNetwork, disks: FaultyDisks) -> MemoryBroker:
    return MemoryBroker(network, disks, time.time)


@pytest.fixture
async def world(broker: MemoryBroker) -> AsyncIterator[World]:
    world = World(broker.dial, "amqp://memory/", MemoryOperator(broker))
    yield world
    await world.close()


def wire_of(connection: Connection) -> Wire:
    wire = getattr(connection, "wire", None)
    assert isinstance(wire, Wire)
    return wire


def texts(envelopes: list[Envelope]) -> list[str]:
    return [envelope.body.decode() for envelope in envelopes]


async def test_deliveries_stay_unacked_until_the_broker_also_notices_that_a_client_lost_its_connection(
    world: World, broker: MemoryBroker
) -> None:
    await world.queue("q", SINGLE, "1", "2")
    connection = await world.connect()
    _, first = await world.consume("q", channel=await connection.channel(confirms=False))
    _, second = await world.consume("q")
    await first.first()
    wire_of(connection).lose_client(broker_after=0.2)
    assert connection.closed.is_set()
    await second.only(0)
    assert texts(broker.unacked("q")) == ["1"]
    assert texts(broker.ready("q")) == ["2"]
    assert bodies(await second.first()) == ["1"]


async def test_frames_of_a_client_are_lost_when_the_broker_has_already_dropped_its_connection(
    world: World, broker: MemoryBroker
) -> None:
    await world.queue("q", SINGLE, "1")
    connection = await world.connect()
    channel = await connection.channel(confirms=True)
    _, first = await world.consume("q", channel=channel)
    _, second = await world.consume("q")
    await first.first()
    wire_of(connection).lose_broker(client_after=0.2)
    await channel.ack(first.got[0].tag)
    publishing = asyncio.create_task(put(channel, "q", "2"))
    assert bodies(await second.only(1)) == ["1"]
    assert not connection.closed.is_set()
    with pytest.raises(Gone):
        await publishing
    assert connection.closed.is_set()
    assert (texts(broker.unacked("q")), broker.ready("q")) == (["1"], [])


async def test_frames_sent_during_a_silence_arrive_when_it_ends(world: World, broker: MemoryBroker) -> None:
    await world.queue("q", QUORUM, "1")
    connection = await world.connect()
    channel = await connection.channel(confirms=True)
    _, inbox = await world.consume("q", 10, channel=channel)
    await inbox.first()
    wire_of(connection).silence()
    await channel.ack(inbox.got[0].tag)
    publishing = asyncio.create_task(put(channel, "q", "2"))
    await inbox.only(1)
    assert (texts(broker.unacked("q")), broker.ready("q")) == (["1"], [])
    wire_of(connection).restore()
    await publishing
    assert bodies(await inbox.first(2)) == ["1", "2"]


async def test_each_side_gives_up_a_silent_connection_on_its_own(world: World, broker: MemoryBroker) -> None:
    await world.queue("q", QUORUM, "1")
    connection = await world.connect()
    _, inbox = await world.consume("q", channel=await connection.channel(confirms=False))
    await inbox.first()
    wire_of(connection).silence(broker_after=0.05, client_after=0.1)
    await world.until_count("q", 1)
    assert not connection.closed.is_set()
    await closed(connection)


async def test_when_a_silence_ends_one_side_sees_that_the_other_gave_up(world: World) -> None:
    await world.queue("q", QUORUM, "1")
    connection = await world.connect()
    _, inbox = await world.consume("q", channel=await connection.channel(confirms=False))
    await inbox.first()
    wire_of(connection).silence(client_after=0.05)
    await closed(connection)
    wire_of(connection).restore()
    await world.until_count("q", 1)


@pytest.mark.parametrize("arrives", [True, False])
async def test_a_message_in_flight_when_the_connection_is_cut_may_arrive_but_is_not_confirmed(
    world: World, broker: MemoryBroker, network: SlowNetwork, arrives: bool
) -> None:
    connection = await world.connect()
    channel = await connection.channel(confirms=True)
    await channel.declare_queue("q", QUORUM)
    network.seconds, network.in_flight_arrives = 0.02, arrives
    publishing = asyncio.create_task(put(channel, "q", "1"))
    await asyncio.sleep(0)
    wire_of(connection).cut()
    with pytest.raises(Gone):
        await publishing
    network.seconds = 0
    await world.until_count("q", int(arrives))


@pytest.mark.slow
async def test_a_killed_process_notices_nothing_and_the_broker_notices_immediately(
    world: World, broker: MemoryBroker
) -> None:
    await world.queue("q", QUORUM, "1")
    connection = await world.connect()
    channel, inbox = await world.consume("q", channel=await connection.channel(confirms=False))
    await inbox.first()
    wire_of(connection).kill()
    await channel.ack(inbox.got[0].tag)
    await world.until_count("q", 1)
    assert not connection.closed.is_set()


async def test_the_broker_refuses_connections_until_its_restart_is_complete(world: World, broker: MemoryBroker) -> None:
    connection = await world.connect()
    broker.restart(0.1)
    await closed(connection)
    with pytest.raises(BrokerError):
        await world.connect()
    await asyncio.sleep(0.15)
    await world.connect()


async def test_a_stream_that_lost_its_tail_reuses_offsets(world: World, broker: MemoryBroker) -> None:
    await world.queue("s", STREAM, "1", "2", "3")
    broker.stop()
    broker.lose_tail("s", 2)
    broker.start()
    await put(await world.channel(), "s", "new")
    assert [(at, entry.body) for at, entry in broker.entries("s")] == [(0, b"1"), (1, b"new")]
    _, inbox = await world.consume("s", 10, stream_offset=2)
    await inbox.only(0)


async def test_a_confirm_may_be_late_or_missing_although_the_message_was_stored(
    world: World, broker: MemoryBroker, disks: FaultyDisks
) -> None:
    channel = await world.queue("q", QUORUM)
    for late in (0.2, None):
        disks.late = late
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await put(channel, "q", "1")
    assert texts(broker.ready("q")) == ["1", "1"]


async def test_one_of_several_queues_may_refuse_a_message_or_never_answer(
    world: World, broker: MemoryBroker, disks: FaultyDisks
) -> None:
    channel = await world.channel()
    await channel.declare_exchange("both", Kind.FANOUT)
    for queue in ("one", "two"):
        await channel.declare_queue(queue, QUORUM)
        await channel.bind_queue(queue, "both", "")
    disks.behaviour["two"] = Kept.REFUSED
    with pytest.raises(Refused):
        await channel.publish("both", "", Envelope(b"1"))
    disks.behaviour["two"] = Kept.LOST
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await channel.publish("both", "", Envelope(b"2"))
    assert (texts(broker.ready("one")), texts(broker.ready("two"))) == (["1", "2"], [])


async def test_a_dead_letter_that_no_queue_accepted_is_not_lost(
    world: World, broker: MemoryBroker, disks: FaultyDisks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("crashes.memory.quorum.RETRY_SECONDS", 0.05)
    dying = {**QUORUM, "x-dead-letter-exchange": "returns", "x-dead-letter-strategy": "at-least-once"}
    channel = await world.queue("q", dying)
    await channel.declare_exchange("returns", Kind.FANOUT)
    await channel.declare_queue("returns", QUORUM)
    await channel.bind_queue("returns", "returns", "")
    disks.behaviour["returns"] = Kept.LOST
    await channel.publish("", "q", Envelope(b"1", expires=10))
    await world.until_count("q", 0)
    assert broker.ready("returns") == []
    disks.behaviour.clear()
    await world.until_count("returns", 1)


async def test_a_client_that_cannot_reach_the_broker_gets_an_error(
    broker: MemoryBroker, network: SlowNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("crashes.memory.broker.CONNECT_SECONDS", 0.05)
    network.unreachable.append("far")
    with pytest.raises(BrokerError, match="no broker answers"):
        await broker.dialer("far")(SecretStr("amqp://memory/"), heartbeat=10, name="x")
    near = await broker.dialer("near")(SecretStr("amqp://memory/"), heartbeat=10, name="x")
    assert [(wire.host, wire.name) for wire in broker.wires] == [("near", "x")]
    await near.close()
    assert broker.wires == []
