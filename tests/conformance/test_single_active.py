"""Single active consumers: which consumer is active."""

from conformance.conftest import SINGLE, World, bodies, put


async def test_only_the_first_consumer_gets_messages(world: World) -> None:
    await world.queue("q", SINGLE, "1", "2", "3")
    channel, first = await world.consume("q")
    _, second = await world.consume("q")
    await channel.ack((await first.first())[0].tag)
    assert bodies(await first.only(2)) == ["1", "2"]
    await second.only(0)


async def test_when_the_active_channel_closes_the_next_consumer_gets_its_unacked_message_first(world: World) -> None:
    publishing = await world.queue("q", SINGLE, "1", "2")
    channel, first = await world.consume("q")
    second_channel, second = await world.consume("q")
    _, third = await world.consume("q")
    await first.first()
    await channel.close()
    assert bodies(await second.only(1)) == ["1"]
    assert second.got[0].redelivered
    await second_channel.ack(second.got[0].tag)
    assert bodies(await second.only(2)) == ["1", "2"]
    assert not second.got[1].redelivered
    await put(publishing, "q", "3")
    await second_channel.close()
    assert bodies(await third.only(1)) == ["2"]


async def test_when_the_active_consumer_is_cancelled_while_holding_a_message_the_next_gets_the_second_one(
    world: World,
) -> None:
    await world.queue("q", SINGLE, "1", "2", "3")
    channel, first = await world.consume("q")
    second_channel, second = await world.consume("q")
    await first.first()
    await channel.cancel("reader")
    assert bodies(await second.only(1)) == ["2"]
    assert not second.got[0].redelivered
    await channel.close()
    await second_channel.ack(second.got[0].tag)
    assert bodies(await second.only(2)) == ["2", "1"]
    assert second.got[1].redelivered


async def test_a_consumer_that_comes_back_is_last_in_line(world: World) -> None:
    await world.queue("q", SINGLE, "1")
    channel, first = await world.consume("q")
    second_channel, second = await world.consume("q")
    await first.first()
    await channel.close()
    await second.first()
    _, again = await world.consume("q")
    _, last = await world.consume("q")
    await second_channel.close()
    assert bodies(await again.only(1)) == ["1"]
    await last.only(0)


async def test_a_waiting_consumer_that_leaves_changes_nothing(world: World) -> None:
    await world.queue("q", SINGLE, "1", "2")
    channel, first = await world.consume("q")
    waiting, second = await world.consume("q")
    _, third = await world.consume("q")
    await first.first()
    await waiting.close()
    await channel.ack(first.got[0].tag)
    assert bodies(await first.only(2)) == ["1", "2"]
    await channel.close()
    assert bodies(await third.only(1)) == ["2"]
    await second.only(0)


async def test_when_the_active_connection_closes_the_next_consumer_becomes_active(world: World) -> None:
    await world.queue("q", SINGLE, "1")
    connection = await world.connect()
    _, first = await world.consume("q", channel=await world.channel(connection, confirms=False))
    _, second = await world.consume("q")
    await first.first()
    await connection.close()
    assert connection.closed.is_set()
    assert bodies(await second.only(1)) == ["1"]
    assert second.got[0].redelivered
