"""Routing: which queues receive a message."""

import pytest

from conformance.conftest import QUORUM, SINGLE, World, bodies, closed
from usher.broker.port import Channel, ChannelClosed, Envelope, Gone, Kind, Mismatch, NotFound, Refused


async def publish(channel: Channel, exchange: str, *keys: str) -> None:
    """Publish one message per key, with the key as its body."""
    for key in keys:
        await channel.publish(exchange, key, Envelope(key.encode()), mandatory=False)


@pytest.mark.parametrize(
    ("pattern", "matching"),
    [
        ("beta.abc", ["beta.abc"]),
        ("beta.*", ["beta.abc", "beta.xyz"]),
        ("*.abc", ["beta.abc", "test.abc"]),
        ("*", ["beta"]),
        ("beta.#", ["beta.abc", "beta.xyz", "beta", "beta.abc.more"]),
        ("#.abc", ["beta.abc", "test.abc"]),
        ("#", ["beta.abc", "beta.xyz", "test.abc", "beta", "beta.abc.more"]),
    ],
)
async def test_a_topic_exchange_matches_the_words_of_the_key(world: World, pattern: str, matching: list[str]) -> None:
    channel = await world.queue("q", QUORUM)
    await channel.declare_exchange("door", Kind.TOPIC)
    await channel.bind_queue("q", "door", pattern)
    await publish(channel, "door", "beta.abc", "beta.xyz", "test.abc", "beta", "beta.abc.more")
    _, inbox = await world.consume("q", 10)
    assert bodies(await inbox.only(len(matching))) == matching


async def test_a_fanout_exchange_routes_to_all_its_queues_whatever_the_key(world: World) -> None:
    channel = await world.channel()
    await channel.declare_exchange("all", Kind.FANOUT)
    for queue in ("one", "two"):
        await channel.declare_queue(queue, QUORUM)
        await channel.bind_queue(queue, "all", "")
    await publish(channel, "all", "some.key")
    for queue in ("one", "two"):
        assert bodies(await (await world.consume(queue))[1].only(1)) == ["some.key"]


async def test_an_exchange_routes_to_another_and_a_queue_that_is_reached_twice_gets_one_copy(world: World) -> None:
    channel = await world.queue("q", QUORUM)
    await channel.declare_exchange("door", Kind.TOPIC)
    await channel.declare_exchange("inner", Kind.TOPIC)
    await channel.bind_exchange("inner", "door", "#")
    await channel.bind_queue("q", "inner", "beta.*")
    await channel.bind_queue("q", "door", "*.abc")
    await publish(channel, "door", "beta.abc", "beta.xyz", "test.abc", "test.xyz")
    assert bodies(await (await world.consume("q", 10))[1].only(3)) == ["beta.abc", "beta.xyz", "test.abc"]


async def test_a_deleted_exchange_loses_its_bindings_and_can_be_declared_with_another_type(world: World) -> None:
    channel = await world.queue("q", QUORUM)
    await channel.declare_exchange("door", Kind.TOPIC)
    await channel.bind_queue("q", "door", "#")
    await channel.delete_exchange("door")
    await channel.delete_exchange("door")
    await channel.declare_exchange("door", Kind.FANOUT)
    await publish(channel, "door", "beta.abc")
    await channel.bind_queue("q", "door", "")
    await publish(channel, "door", "test.abc")
    assert bodies(await (await world.consume("q", 10))[1].only(1)) == ["test.abc"]


async def test_the_alternate_exchange_gets_what_its_own_exchange_cannot_route_whatever_an_outer_one_did(
    world: World,
) -> None:
    channel = await world.channel()
    await channel.declare_exchange("net", Kind.FANOUT)
    await channel.declare_exchange("inner", Kind.TOPIC, {"alternate-exchange": "net"})
    await channel.declare_exchange("door", Kind.TOPIC)
    await channel.bind_exchange("inner", "door", "#")
    for queue, exchange, key in (("caught", "net", ""), ("inside", "inner", "beta.abc"), ("beside", "door", "#")):
        await channel.declare_queue(queue, QUORUM)
        await channel.bind_queue(queue, exchange, key)
    await publish(channel, "door", "beta.abc", "beta.xyz")
    assert bodies(await (await world.consume("caught", 10))[1].only(1)) == ["beta.xyz"]
    assert bodies(await (await world.consume("inside", 10))[1].only(1)) == ["beta.abc"]
    assert bodies(await (await world.consume("beside", 10))[1].only(2)) == ["beta.abc", "beta.xyz"]


async def test_an_unroutable_message_is_refused_if_it_is_mandatory_and_confirmed_otherwise(world: World) -> None:
    channel = await world.channel()
    await channel.declare_exchange("nowhere", Kind.TOPIC)
    with pytest.raises(Refused):
        await channel.publish("nowhere", "beta.abc", Envelope(b""))
    await channel.publish("nowhere", "beta.abc", Envelope(b""), mandatory=False)
    assert not channel.closed.is_set()


async def test_publishing_to_a_missing_exchange_closes_the_channel(world: World) -> None:
    channel = await world.channel()
    with pytest.raises(NotFound):
        await channel.publish("none", "", Envelope(b""))
    await closed(channel)
    with pytest.raises(Gone):
        await channel.count("q")


async def test_a_deleted_queue_gets_no_messages_and_loses_its_bindings(world: World) -> None:
    channel = await world.queue("q", QUORUM)
    await channel.declare_exchange("door", Kind.TOPIC)
    await channel.bind_queue("q", "door", "#")
    await channel.delete_queue("q")
    await channel.delete_queue("q")
    with pytest.raises(Refused):
        await channel.publish("door", "beta.abc", Envelope(b""))
    await channel.declare_queue("q", QUORUM)
    with pytest.raises(Refused):
        await channel.publish("door", "beta.abc", Envelope(b""))


async def test_declaring_and_binding_can_be_repeated(world: World) -> None:
    channel = await world.channel()
    for _ in range(2):
        await channel.declare_exchange("net", Kind.FANOUT)
        await channel.declare_exchange("door", Kind.TOPIC, {"alternate-exchange": "net"})
        await channel.declare_queue("q", SINGLE)
        await channel.bind_queue("q", "door", "#")
    await publish(channel, "door", "beta.abc")
    assert bodies(await (await world.consume("q", 10))[1].only(1)) == ["beta.abc"]


async def test_declaring_with_other_arguments_is_a_mismatch(world: World) -> None:
    await (await world.channel()).declare_exchange("door", Kind.TOPIC)
    await world.queue("q", SINGLE)
    channel = await world.channel()
    with pytest.raises(Mismatch):
        await channel.declare_queue("q", QUORUM)
    await closed(channel)
    with pytest.raises(Mismatch):
        await (await world.channel()).declare_queue("q", {"x-queue-type": "stream"})
    with pytest.raises(Mismatch):
        await (await world.channel()).declare_queue("q", {**SINGLE, "x-message-ttl": 50})
    with pytest.raises(Mismatch):
        await (await world.channel()).declare_exchange("door", Kind.FANOUT)
    with pytest.raises(Mismatch):
        await (await world.channel()).declare_exchange("door", Kind.TOPIC, {"alternate-exchange": "other"})


async def test_a_missing_queue_or_exchange_is_not_found(world: World) -> None:
    outer = await world.channel()
    await outer.declare_exchange("door", Kind.TOPIC)
    await outer.declare_queue("q", QUORUM)
    for ask in (
        lambda c: c.count("none"),
        lambda c: c.purge("none"),
        lambda c: c.bind_queue("none", "door", ""),
        lambda c: c.bind_queue("q", "none", ""),
        lambda c: c.bind_exchange("none", "door", ""),
        lambda c: c.bind_exchange("door", "none", ""),
        lambda c: c.consume("none", "tag", 1, print, print),
    ):
        channel = await world.channel()
        with pytest.raises(NotFound):
            await ask(channel)
        await closed(channel)
        with pytest.raises(Gone):
            await channel.count("q")


async def test_an_error_on_one_channel_leaves_the_others_open(world: World) -> None:
    connection = await world.connect()
    one, other = await connection.channel(confirms=True), await connection.channel(confirms=True)
    await one.declare_queue("q", QUORUM)
    with pytest.raises(ChannelClosed):
        await one.count("none")
    assert await other.count("q") == 0
    assert not connection.closed.is_set()


async def test_an_unbound_queue_receives_nothing_more_and_unbinding_it_again_does_nothing(world: World) -> None:
    channel = await world.channel()
    await channel.declare_exchange("e", Kind.TOPIC)
    await channel.declare_queue("q", QUORUM)
    for key in ("a.b", "a.c"):
        await channel.bind_queue("q", "e", key)
    for queue in ("q", "q", "missing"):
        await channel.unbind_queue(queue, "e", "a.b")
    await channel.unbind_queue("q", "missing", "a.b")
    for key in ("a.b", "a.c"):
        await channel.publish("e", key, Envelope(key.encode()), mandatory=False)
    _, inbox = await world.consume("q", 10)
    assert bodies(await inbox.only(1)) == ["a.c"]
