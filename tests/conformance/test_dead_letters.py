"""Dead-lettering: which messages expire, and where they go."""

import asyncio

from conformance.conftest import QUORUM, World, bodies
from usher.broker.port import Argument, Channel, Envelope, Kind

DYING: dict[str, Argument] = {
    **QUORUM,
    "x-overflow": "reject-publish",
    "x-dead-letter-exchange": "returns",
    "x-dead-letter-strategy": "at-least-once",
}


async def retry(world: World, **arguments: Argument) -> Channel:
    """Declare a queue `retry` whose dead letters go to the queue `returns`."""
    channel = await world.queue("retry", {**DYING, **{f"x-{k.replace('_', '-')}": v for k, v in arguments.items()}})
    for exchange in ("retry", "returns"):
        await channel.declare_exchange(exchange, Kind.FANOUT)
        await channel.declare_queue(exchange, QUORUM) if exchange == "returns" else None
        await channel.bind_queue(exchange, exchange, "")
    return channel


async def test_an_expired_message_goes_to_the_dead_letter_exchange(world: World) -> None:
    channel = await retry(world, message_ttl=50)
    await channel.publish("retry", "", Envelope(b"1", message_id="m1", type="move/1", headers={"own": "header"}))
    _, inbox = await world.consume("returns")
    (got,) = await inbox.only(1)
    assert (got.envelope.message_id, got.envelope.type, got.redelivered) == ("m1", "move/1", False)
    assert got.envelope.headers["own"] == "header"


async def test_a_dead_letter_says_where_why_and_how_often_it_died(world: World) -> None:
    channel = await retry(world, message_ttl=50)
    await channel.publish("retry", "", Envelope(b"1", expires=20))
    _, inbox = await world.consume("returns")
    (got,) = await inbox.only(1)
    (death,) = got.envelope.headers["x-death"]
    del death["time"]
    assert death == {
        "count": 1,
        "reason": "expired",
        "queue": "retry",
        "exchange": "retry",
        "routing-keys": [""],
        "original-expiration": "20",
    }
    first = {name: got.envelope.headers[f"x-first-death-{name}"] for name in ("reason", "queue", "exchange")}
    assert first == {"reason": "expired", "queue": "retry", "exchange": "retry"}


async def test_a_message_expires_after_its_own_expiration_if_that_is_shorter(world: World) -> None:
    channel = await retry(world, message_ttl=600_000)
    await channel.publish("retry", "", Envelope(b"1", expires=50))
    assert bodies(await (await world.consume("returns"))[1].only(1)) == ["1"]


async def test_an_expired_message_stays_behind_one_that_has_not_expired(world: World) -> None:
    channel = await retry(world, message_ttl=600_000)
    await channel.publish("retry", "", Envelope(b"long", expires=1000))
    await channel.publish("retry", "", Envelope(b"short", expires=50))
    _, inbox = await world.consume("returns", 10)
    assert await channel.count("retry") == 2
    assert bodies(await inbox.only(2)) == ["long", "short"]


async def test_a_message_that_is_redelivered_too_often_is_dead_lettered(world: World) -> None:
    channel = await retry(world, delivery_limit=1)
    await channel.publish("retry", "", Envelope(b"1"))
    for _ in range(2):
        consuming, inbox = await world.consume("retry")
        await inbox.first()
        await consuming.close()
    (got,) = await (await world.consume("returns"))[1].only(1)
    (death,) = got.envelope.headers["x-death"]
    assert (death["reason"], death["count"]) == ("delivery_limit", 1)


async def test_a_message_does_not_expire_while_a_consumer_holds_it(world: World) -> None:
    channel = await retry(world, message_ttl=1000)
    await channel.publish("retry", "", Envelope(b"1"))
    consuming, held = await world.consume("retry")
    await held.first()
    _, inbox = await world.consume("returns")
    await asyncio.sleep(1.1)
    assert inbox.got == []
    await consuming.close()
    assert bodies(await inbox.only(1)) == ["1"]


async def test_an_expired_message_without_a_dead_letter_exchange_is_dropped(world: World) -> None:
    await world.queue("q", {**QUORUM, "x-message-ttl": 50}, "1", "2")
    await world.until_count("q", 0)


async def test_a_message_re_published_without_x_death_dies_like_a_new_one(world: World) -> None:
    channel = await retry(world, message_ttl=50)
    await channel.publish("retry", "", Envelope(b"1"))
    consuming, inbox = await world.consume("returns")
    (got,) = await inbox.first()
    await channel.publish("retry", "", Envelope(got.envelope.body))
    await consuming.ack(got.tag)
    (death,) = (await inbox.only(2))[1].envelope.headers["x-death"]
    assert death["count"] == 1


async def test_a_dead_letter_that_returns_to_a_queue_where_it_died_is_dropped(world: World) -> None:
    channel = await world.channel()
    for queue, to in (("there", "back"), ("back", "there")):
        await channel.declare_exchange(queue, Kind.FANOUT)
        await channel.declare_queue(queue, {**DYING, "x-dead-letter-exchange": to, "x-message-ttl": 30})
        await channel.bind_queue(queue, queue, "")
    await channel.declare_queue("seen", QUORUM)
    await channel.bind_queue("seen", "there", "")
    await channel.publish("there", "", Envelope(b"1"))
    _, seen = await world.consume("seen", 10)
    await seen.first(2)
    await seen.only(2)
    await world.until_count("there", 0)
    await world.until_count("back", 0)
