"""Quorum queues: what is delivered, what comes back, and in which order."""

import asyncio

import pytest

from conformance.conftest import QUORUM, SECONDS, SINGLE, World, bodies, closed, put
from usher.broker.port import Argument, Channel, ChannelClosed, Envelope, Gone, Kind, Mismatch, Refused


async def test_a_message_travels_as_it_is(world: World) -> None:
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


async def test_a_prefetch_of_zero_has_everything_delivered(world: World) -> None:
    await world.queue("q", QUORUM, *(str(n) for n in range(50)))
    _, inbox = await world.consume("q", 0)
    assert len(await inbox.only(50)) == 50


async def test_an_ack_may_take_all_up_to_it(world: World) -> None:
    await world.queue("q", QUORUM, "1", "2", "3", "4")
    channel, inbox = await world.consume("q", 3)
    await inbox.only(3)
    await channel.ack(inbox.got[1].tag, multiple=True)
    await inbox.only(4)
    await channel.close()
    _, inbox = await world.consume("q", 10)
    assert bodies(await inbox.only(2)) == ["3", "4"]


async def test_an_ack_of_what_was_not_delivered_closes_the_channel(world: World) -> None:
    await world.queue("q", QUORUM, "1")
    channel, inbox = await world.consume("q")
    (got,) = await inbox.first()
    await channel.ack(got.tag)
    await channel.ack(got.tag)
    await closed(channel)
    with pytest.raises(Gone):
        await channel.ack(got.tag)


async def test_what_was_held_comes_back_to_the_head_in_order_when_its_channel_closes(world: World) -> None:
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


async def test_what_was_held_comes_back_when_its_connection_is_closed_by_an_operator(world: World) -> None:
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


async def test_what_comes_back_says_how_often_it_has(world: World) -> None:
    await world.queue("q", QUORUM, "1")
    counts = []
    for _ in range(3):
        channel, inbox = await world.consume("q")
        (got,) = await inbox.first()
        counts.append(got.envelope.headers.get("x-delivery-count"))
        await channel.close()
    assert counts == [None, 1, 2]


async def test_what_comes_back_more_often_than_its_limit_is_dropped(world: World) -> None:
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


async def test_who_comes_first_by_priority_gets_all_that_it_can_take(world: World) -> None:
    channel = await world.queue("q", QUORUM)
    _, last = await world.consume("q", 10, priority=-10)
    other, first = await world.consume("q", 2)
    await put(channel, "q", "1", "2", "3")
    assert bodies(await first.only(2)) == ["1", "2"]
    assert bodies(await last.only(1)) == ["3"]
    await other.ack(first.got[1].tag, multiple=True)
    await put(channel, "q", "4")
    assert bodies(await first.only(3)) == ["1", "2", "4"]


async def test_a_cancelled_consumer_gets_nothing_more_and_keeps_what_it_has(world: World) -> None:
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


async def test_a_deleted_queue_takes_its_consumers_away_and_leaves_their_channels(world: World) -> None:
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


async def test_a_purge_takes_what_is_ready_and_leaves_what_is_held(world: World) -> None:
    await world.queue("q", QUORUM, "1", "2", "3")
    channel, inbox = await world.consume("q")
    await inbox.first()
    await world.operator.purge("q")
    await world.until_count("q", 0)
    await channel.close()
    _, inbox = await world.consume("q", 10)
    assert bodies(await inbox.only(1)) == ["1"]


async def test_a_full_queue_refuses_until_there_is_room_though_another_takes_it(world: World) -> None:
    channel = await world.queue("full", {**QUORUM, "x-max-length": 2, "x-overflow": "reject-publish"})
    await channel.declare_queue("roomy", QUORUM)
    await channel.declare_exchange("both", Kind.FANOUT)
    for queue in ("full", "roomy"):
        await channel.bind_queue(queue, "both", "")
    taken = [await takes(channel) for _ in range(20)]
    assert taken[:2] == [True, True]
    assert not taken[-1]
    _, roomy = await world.consume("roomy", 100)
    await roomy.only(20)
    await channel.purge("full")
    async with asyncio.timeout(SECONDS):
        while not await takes(channel):
            pass


async def takes(channel: Channel) -> bool:
    """Whether what is published to both queues is confirmed."""
    try:
        await channel.publish("both", "", Envelope(b""))
    except Refused:
        return False
    return True


async def test_the_count_is_of_what_is_ready(world: World) -> None:
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


async def test_what_is_published_at_once_keeps_its_order(world: World) -> None:
    channel = await world.queue("q", QUORUM)
    await asyncio.gather(*(put(channel, "q", str(n)) for n in range(100)))
    _, inbox = await world.consume("q", 200)
    assert bodies(await inbox.only(100)) == [str(n) for n in range(100)]


async def test_consumers_of_one_channel_have_each_their_own_prefetch(world: World) -> None:
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


async def test_a_channel_that_breaks_gives_back_what_was_delivered_on_it(world: World) -> None:
    await world.queue("q", QUORUM, "1")
    channel, inbox = await world.consume("q")
    await inbox.first()
    with pytest.raises(ChannelClosed):
        await channel.count("none")
    _, inbox = await world.consume("q")
    assert bodies(await inbox.only(1)) == ["1"]
    assert inbox.got[0].redelivered


async def test_what_two_had_comes_back_in_the_order_of_their_leaving(world: World) -> None:
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


async def test_a_message_with_a_span_of_its_own_expires(world: World) -> None:
    channel = await world.queue("q", QUORUM)
    await channel.publish("", "q", Envelope(b"1", expires=30))
    await world.until_count("q", 0)


async def test_how_often_it_came_back_counts_connections_too(world: World) -> None:
    await world.queue("q", QUORUM, "1")
    for count in (None, 1, 2):
        connection = await world.connect()
        _, inbox = await world.consume("q", channel=await world.channel(connection, confirms=False))
        (got,) = await inbox.first()
        assert got.envelope.headers.get("x-delivery-count") == count
        await connection.close()


async def test_its_own_headers_stay_when_it_comes_back(world: World) -> None:
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
async def test_an_argument_counts_when_it_is_declared_again(world: World, change: dict[str, Argument]) -> None:
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


async def test_its_consumer_timeout_does_not_count_when_a_queue_is_declared_again(world: World) -> None:
    channel = await world.queue("q", {**QUORUM, "x-consumer-timeout": 604_800_000})
    await channel.declare_queue("q", {**QUORUM, "x-consumer-timeout": 1_000_000})
