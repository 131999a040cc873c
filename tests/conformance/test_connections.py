"""Connections and channels: how they end, and what that means for pending calls."""

import asyncio

import pytest

from conformance.conftest import QUORUM, World, bodies, closed
from usher.broker.port import Envelope, Gone


async def test_closing_a_connection_closes_its_channels_and_can_be_repeated(world: World) -> None:
    connection = await world.connect()
    channel = await connection.channel(confirms=True)
    for _ in range(2):
        await connection.close()
    await closed(connection)
    await closed(channel)
    await channel.close()
    for ask in (channel.count("q"), channel.publish("", "q", Envelope(b"")), connection.channel(confirms=False)):
        with pytest.raises(Gone):
            await ask


async def test_closing_a_channel_leaves_its_connection_open_and_can_be_repeated(world: World) -> None:
    connection = await world.connect()
    channel = await connection.channel(confirms=True)
    for _ in range(2):
        await channel.close()
    await closed(channel)
    with pytest.raises(Gone):
        await channel.count("q")
    with pytest.raises(Gone):
        await channel.publish("", "q", Envelope(b""))
    assert not connection.closed.is_set()
    await (await connection.channel(confirms=True)).declare_queue("q", QUORUM)


@pytest.mark.parametrize("ticks", range(6))
async def test_after_a_call_was_cancelled_its_channel_works_or_is_closed(world: World, ticks: int) -> None:
    await world.queue("q", QUORUM, "1")
    channel, inbox = await world.consume("q")
    await inbox.first()
    asking = asyncio.create_task(channel.count("q"))
    for _ in range(ticks):
        await asyncio.sleep(0)
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    try:
        assert await channel.count("q") == 0
    except Gone:
        await closed(channel)
        _, inbox = await world.consume("q")
        assert bodies(await inbox.only(1)) == ["1"]


async def test_cancelling_a_publish_leaves_its_channel_open(world: World) -> None:
    channel = await world.queue("q", QUORUM)
    publishing = asyncio.create_task(channel.publish("", "q", Envelope(b"1", message_id="1")))
    await asyncio.sleep(0)
    publishing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await publishing
    await channel.publish("", "q", Envelope(b"2", message_id="2"))
    assert not channel.closed.is_set()
    _, inbox = await world.consume("q", 10)
    await inbox.first()
    assert "2" in bodies(inbox.got)


async def test_closing_a_connection_by_an_operator_fails_pending_calls(world: World) -> None:
    connection = await world.connect("doomed")
    channel = await connection.channel(confirms=True)
    lost = asyncio.Event()
    connection.closed.also(lost)
    await world.operator.close_connection("doomed")
    await closed(connection)
    await closed(channel)
    assert lost.is_set()
    with pytest.raises(Gone):
        await channel.publish("", "q", Envelope(b""))
    await channel.close()
    await connection.close()


async def test_a_connection_is_not_blocked_without_an_alarm(world: World) -> None:
    connection = await world.connect()
    await connection.unblocked()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.3):
            await connection.blocked()
