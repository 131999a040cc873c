"""Quorum queues: what is delivered and redelivered, and in which order."""

import asyncio

import pytest

from conformance.conftest import QUORUM, SECONDS, SINGLE, World, bodies, closed, put
from usher.broker.port import Argument, Channel, ChannelClosed, Envelope, Gone, Kind, Mismatch, Refused


async def test_a_message_arrives_unchanged(world: World) -> None:
    envelope = Envelope(
        b"\x00body",
        message_id="m1",
        type="move/1",
        content_type="application/json",
        content_encoding="gzip",
        correlation_id="d1",
        reply_to="usher.results",
        app_id="trackers",
        headers={"reason": "it is", "count": 3},
    )
    channel = await world.queue("q", QUORUM)
    await channel.publish("", "q", envelope)
    _, inbox = await world.consume("q")
    (got,) = await inbox.first()
    assert got.envelope == envelope
    assert not got.redelivered


async def test_no_more_than_the_prefetch_is_unacked(world: World) -> None:
    await world.queue("q", QUORUM, "1", "2", "3", "4")
    channel, inbox = await world.consume("q", 2)
    assert bodies(await inbox.only(2)) == ["1", "2"]
    await channel.ack(inbox.got[0].tag)
    assert bodies(await inbox.only(3)) == ["1", "2", "3"]


async def test_a_prefetch_of_zero_delivers_a_short_queue_completely(world: World) -> None:
    await world.queue("q", QUORUM, *(str(n) for n in range(50)))
    _, inbox = await world.consume("q", 0)
    assert len(await inbox.only(50)) == 50


async def test_an_ack_with_multiple_covers_all_earlier_deliveries(world: World) -> None:
    await world.queue("q", QUORUM, "1", "2", "3", "4")
    channel, inbox = await world.consume("q", 3)
    await inbox.only(3)
    await channel.ack(inbox.got[1].tag, multiple=True)
    await inbox.only(4)
    await channel.close()
    _, inbox = await world.consume("q", 10)
    assert bodies(await inbox.only(2)) == ["3", "4"]


async def test_acking_an_unknown_delivery_closes_the_channel(world: World) -> None:
    await world.queue("q", QUORUM, "1")
    channel, inbox = await world.consume("q")
    (got,) = await inbox.first()
    await channel.ack(got.tag)
    await channel.ack(got.tag)
    await closed(channel)
    with pytest.raises(Gone):
        await channel.ack(got.tag)


async def test_held_messages_return_to_the_head_in_order_when_their_channel_closes(world: World) -> None:
    await world.queue("q", QUORUM, "1", "2", "3", "4", "5")
    channel, inbox = await world.consume("q", 3)
    await inbox.only(3)
    await channel.ack(inbox.got[1].tag)
    await inbox.only(4)
    await channel.close()
    assert channel.closed.is_set()
    _, inbox = await world.consume("q", 10)
    assert bodies(await inbox.only(4)) == ["1", "3", "4", "5"]
    assert [got.redelivered for got in inbox.got] == [True, True, True, False]


async def test_held_messages_return_when_an_operator_closes_their_connection(world: World) -> None:
    await world.queue("q", QUORUM, "1", "2")
    connection = await world.connect("doomed")
    channel, inbox = await world.consume("q", channel=await world.channel(connection))
    await inbox.first()
    await world.operator.close_connection("doomed")
    await closed(connection)
    await closed(channel)
    with pytest.raises(Gone):
        await channel.ack(inbox.got[0].tag)
    with pytest.raises(Gone):
        await connection.channel(confirms=False)
    _, inbox = await world.consume("q", 10)
    assert [(got.envelope.body, got.redelivered) for got in await inbox.only(2)] == [(b"1", True), (b"2", False)]


async def test_a_redelivery_carries_its_delivery_count(world: World) -> None:
    await world.queue("q", QUORUM, "1")
    counts = []
    for _ in range(3):
        channel, inbox = await world.consume("q")
        (got,) = await inbox.first()
        counts.append(got.envelope.headers.get("x-delivery-count"))
        await channel.close()
    assert counts == [None, 1, 2]


async def test_a_message_that_exceeds_the_delivery_limit_is_dropped(world: World) -> None:
    await world.queue("q", {**QUORUM, "x-delivery-limit": 2}, "1", "2")
    for _ in range(3):
        channel, inbox = await world.consume("q")
        assert bodies(await inbox.first()) == ["1"]
        await channel.close()
    _, inbox = await world.consume("q")
    assert bodies(await inbox.only(1)) == ["2"]


async def test_consumers_take_turns(world: World) -> None:
    channel = await world.queue("q", QUORUM)
    _, one = await world.consume("q", 10)
    _, two = await world.consume("q", 10)
    await put(channel, "q", "1", "2", "3", "4")
    assert len(await one.only(2)) == len(await two.only(2)) == 2


async def test_the_consumer_with_the_highest_priority_is_served_first_up_to_its_prefetch(world: World) -> None:
    channel = await world.queue("q", QUORUM)
    _, low = await world.consume("q", 10, priority=-10)
    channel_of_high, high = await world.consume("q", 2)
    await put(channel, "q", "1", "2", "3")
    assert bodies(await high.only(2)) == ["1", "2"]
    assert bodies(await low.only(1)) == ["3"]
    await channel_of_high.ack(high.got[1].tag, multiple=True)
    await put(channel, "q", "4")
    assert bodies(await high.only(3)) == ["1", "2", "4"]


async def test_a_cancelled_consumer_gets_nothing_more_and_keeps_its_unacked_messages(world: World) -> None:
    publishing = await world.queue("q", QUORUM, "1", "2")
    channel, inbox = await world.consume("q")
    await inbox.first()
    await channel.cancel("reader")
    await channel.ack(inbox.got[0].tag)
    await put(publishing, "q", "3")
    await inbox.only(1)
    assert not inbox.cancelled.is_set()
    assert await channel.count("q") == 2


async def test_a_channel_whose_consumer_was_cancelled_can_consume_again(world: World) -> None:
    await world.queue("q", QUORUM, "1", "2")
    channel, inbox = await world.consume("q")
    await channel.ack((await inbox.first())[0].tag)
    await inbox.first(2)
    await channel.cancel("reader")
    await channel.ack(inbox.got[1].tag)
    await world.queue("q", QUORUM, "3")
    _, again = await world.consume("q", channel=channel)
    assert bodies(await again.only(1)) == ["3"]


async def test_deleting_a_queue_cancels_its_consumers_and_leaves_their_channels_open(world: World) -> None:
    await world.queue("q", SINGLE, "1")
    await world.queue("other", QUORUM)
    channel, inbox = await world.consume("q")
    _, waiting = await world.consume("q")
    (got,) = await inbox.first()
    await world.operator.delete_queue("q")
    await inbox.cancelled.wait()
    await waiting.cancelled.wait()
    await channel.ack(got.tag)
    assert await channel.count("other") == 0
    await world.queue("q", SINGLE)
    _, inbox = await world.consume("q", channel=channel, tag="again")
    await inbox.only(0)


async def test_a_purge_removes_ready_messages_but_not_held_ones(world: World) -> None:
    await world.queue("q", QUORUM, "1", "2", "3")
    channel, inbox = await world.consume("q")
    await inbox.first()
    await world.operator.purge("q")
    await world.until_count("q", 0)
    await channel.close()
    _, inbox = await world.consume("q", 10)
    assert bodies(await inbox.only(1)) == ["1"]


async def test_a_full_queue_refuses_a_message_even_if_another_queue_accepts_it(world: World) -> None:
    channel = await world.queue("full", {**QUORUM, "x-max-length": 2, "x-overflow": "reject-publish"})
    await channel.declare_queue("roomy", QUORUM)
    await channel.declare_exchange("both", Kind.FANOUT)
    for queue in ("full", "roomy"):
        await channel.bind_queue(queue, "both", "")
    confirmed = [await is_confirmed(channel) for _ in range(20)]
    assert confirmed[:2] == [True, True]
    assert not confirmed[-1]
    _, roomy = await world.consume("roomy", 100)
    await roomy.only(20)
    await channel.purge("full")
    async with asyncio.timeout(SECONDS):
        while not await is_confirmed(channel):
            pass


async def is_confirmed(channel: Channel) -> bool:
    """Publish to both queues. Returns whether the message was confirmed."""
    try:
        await channel.publish("both", "", Envelope(b""))
    except Refused:
        return False
    return True


async def test_the_count_is_the_number_of_ready_messages(world: World) -> None:
    await world.queue("q", QUORUM, "1", "2", "3")
    await world.until_count("q", 3)
    await world.consume("q", 2)
    await world.until_count("q", 1)


async def test_a_prefetch_of_zero_means_two_thousand(world: World) -> None:
    channel = await world.queue("q", QUORUM)
    await asyncio.gather(*(put(channel, "q", str(n)) for n in range(2100)))
    reading, inbox = await world.consume("q", 0)
    await inbox.only(2000)
    await reading.ack(inbox.got[-1].tag, multiple=True)
    await inbox.only(2100)


async def test_messages_published_concurrently_keep_their_order(world: World) -> None:
    channel = await world.queue("q", QUORUM)
    await asyncio.gather(*(put(channel, "q", str(n)) for n in range(100)))
    _, inbox = await world.consume("q", 200)
    assert bodies(await inbox.only(100)) == [str(n) for n in range(100)]


async def test_each_consumer_of_a_channel_has_its_own_prefetch(world: World) -> None:
    await world.queue("one", QUORUM, "1", "2", "3", "4")
    await world.queue("two", QUORUM, "1", "2", "3", "4")
    channel, one = await world.consume("one", 1, tag="one")
    _, two = await world.consume("two", 2, channel=channel, tag="two")
    await two.only(2)
    await one.only(1)
    assert len({got.tag for got in one.got + two.got}) == 3
    await channel.ack(two.got[1].tag)
    await two.only(3)
    await one.only(1)


async def test_unacked_messages_return_when_the_broker_closes_the_channel(world: World) -> None:
    await world.queue("q", QUORUM, "1")
    channel, inbox = await world.consume("q")
    await inbox.first()
    with pytest.raises(ChannelClosed):
        await channel.count("none")
    _, inbox = await world.consume("q")
    assert bodies(await inbox.only(1)) == ["1"]
    assert inbox.got[0].redelivered


async def test_messages_of_two_consumers_return_in_the_order_in_which_the_consumers_left(world: World) -> None:
    await world.queue("q", QUORUM, "1", "2", "3", "4", "5")
    one_channel, one = await world.consume("q", 1)
    await one.only(1)
    two_channel, two = await world.consume("q", 3)
    assert bodies(await two.only(3)) == ["2", "3", "4"]
    await two_channel.close()
    await world.until_count("q", 4)
    await one_channel.close()
    await world.until_count("q", 5)
    _, inbox = await world.consume("q", 10)
    assert bodies(await inbox.only(5)) == ["2", "3", "4", "1", "5"]


async def test_a_message_with_its_own_expiration_expires(world: World) -> None:
    channel = await world.queue("q", QUORUM)
    await channel.publish("", "q", Envelope(b"1", expires=30))
    await world.until_count("q", 0)


async def test_the_delivery_count_includes_lost_connections(world: World) -> None:
    await world.queue("q", QUORUM, "1")
    for count in (None, 1, 2):
        connection = await world.connect()
        _, inbox = await world.consume("q", channel=await world.channel(connection, confirms=False))
        (got,) = await inbox.first()
        assert got.envelope.headers.get("x-delivery-count") == count
        await connection.close()


async def test_a_redelivered_message_keeps_its_own_headers(world: World) -> None:
    channel = await world.queue("q", QUORUM)
    await channel.publish("", "q", Envelope(b"1", headers={"own": "one"}))
    reading, inbox = await world.consume("q")
    await inbox.first()
    await reading.close()
    _, inbox = await world.consume("q")
    (got,) = await inbox.first()
    assert dict(got.envelope.headers) == {"own": "one", "x-delivery-count": 1}


@pytest.mark.parametrize(
    "change",
    [
        {"x-delivery-limit": 5},
        {"x-overflow": "drop-head"},
        {"x-max-length": 3},
        {"x-dead-letter-exchange": "other"},
        {"x-message-ttl": 3},
        {"x-single-active-consumer": True},
        {"x-queue-type": "stream"},
        {"x-dead-letter-strategy": "at-most-once"},
    ],
    ids=str,
)
async def test_declaring_a_queue_again_compares_its_arguments(world: World, change: dict[str, Argument]) -> None:
    same: dict[str, Argument] = {
        **QUORUM,
        "x-consumer-timeout": 604_800_000,
        "x-overflow": "reject-publish",
        "x-dead-letter-exchange": "returns",
        "x-dead-letter-strategy": "at-least-once",
    }
    channel = await world.queue("q", same)
    await channel.declare_queue("q", same)
    with pytest.raises(Mismatch):
        await channel.declare_queue("q", {**same, **change})


async def test_declaring_a_queue_again_ignores_its_consumer_timeout(world: World) -> None:
    channel = await world.queue("q", {**QUORUM, "x-consumer-timeout": 604_800_000})
    await channel.declare_queue("q", {**QUORUM, "x-consumer-timeout": 1_000_000})
