"""Streams: offsets, where a reader begins, and what acks are for."""

from datetime import UTC, datetime, timedelta

import pytest

from conformance.conftest import STREAM, World, bodies, put
from usher.broker.port import Argument, ChannelClosed, Envelope


def offsets(inbox_got: list) -> list[int]:
    return [got.envelope.headers["x-stream-offset"] for got in inbox_got]


async def test_entries_are_numbered_from_zero_and_stay(world: World) -> None:
    await world.queue("s", STREAM, "1", "2", "3")
    for _ in range(2):
        channel, inbox = await world.consume("s", 10, stream_offset="first")
        assert bodies(await inbox.only(3)) == ["1", "2", "3"]
        assert offsets(inbox.got) == [0, 1, 2]
        assert not any(got.redelivered for got in inbox.got)
        await channel.ack(inbox.got[-1].tag, multiple=True)
        await channel.close()


@pytest.mark.parametrize(("start", "read"), [(1, ["2", "3", "4"]), (0, ["1", "2", "3", "4"]), (3, ["4"])])
async def test_a_reader_begins_at_an_offset(world: World, start: Argument, read: list[str]) -> None:
    channel = await world.queue("s", STREAM, "1", "2", "3")
    _, inbox = await world.consume("s", 10, stream_offset=start)
    await put(channel, "s", "4")
    assert bodies(await inbox.only(len(read))) == read


async def test_a_reader_that_begins_next_gets_what_comes(world: World) -> None:
    channel = await world.queue("s", STREAM, "1", "2", "3")
    for arguments in ({"stream_offset": "next"}, {}):
        _, inbox = await world.consume("s", 10, **arguments)
        await put(channel, "s", "new")
        assert bodies(await inbox.only(1)) == ["new"]


async def test_a_reader_that_begins_after_the_end_gets_nothing_before_that_offset(world: World) -> None:
    channel = await world.queue("s", STREAM, "1", "2", "3")
    _, inbox = await world.consume("s", 10, stream_offset=5)
    await put(channel, "s", "4", "5", "6", "7")
    assert bodies(await inbox.only(2)) == ["6", "7"]


async def test_a_reader_begins_at_a_time(world: World) -> None:
    await world.queue("s", STREAM, "1", "2")
    _, inbox = await world.consume("s", 10, stream_offset=datetime.now(UTC) - timedelta(hours=1))
    assert bodies(await inbox.only(2)) == ["1", "2"]


async def test_a_time_after_the_end_is_next(world: World) -> None:
    channel = await world.queue("s", STREAM, "1", "2")
    _, inbox = await world.consume("s", 10, stream_offset=datetime.now(UTC) + timedelta(hours=1))
    await inbox.only(0)
    await put(channel, "s", "3")
    assert bodies(await inbox.only(1)) == ["3"]


async def test_acks_let_more_come(world: World) -> None:
    channel = await world.queue("s", STREAM)
    reading, inbox = await world.consume("s", 2, stream_offset="first")
    await put(channel, "s", "1", "2", "3", "4", "5")
    assert bodies(await inbox.only(2)) == ["1", "2"]
    await reading.ack(inbox.got[0].tag)
    assert bodies(await inbox.only(3)) == ["1", "2", "3"]
    await reading.ack(inbox.got[2].tag, multiple=True)
    assert bodies(await inbox.only(5)) == ["1", "2", "3", "4", "5"]


async def test_readers_read_each_for_itself(world: World) -> None:
    channel = await world.queue("s", STREAM, "1")
    _, one = await world.consume("s", 10, stream_offset="first")
    _, two = await world.consume("s", 10, stream_offset="first")
    await put(channel, "s", "2")
    assert bodies(await one.only(2)) == bodies(await two.only(2)) == ["1", "2"]


async def test_a_stream_is_not_read_without_a_prefetch(world: World) -> None:
    await world.queue("s", STREAM)
    with pytest.raises(ChannelClosed):
        await world.consume("s", 0)


async def test_an_entry_travels_as_it_is(world: World) -> None:
    channel = await world.queue("s", STREAM)
    envelope = Envelope(b"body", message_id="m", type="t/1", correlation_id="d", headers={"own": "one"})
    await channel.publish("", "s", envelope)
    _, inbox = await world.consume("s", 10, stream_offset="first")
    (got,) = await inbox.only(1)
    assert dict(got.envelope.headers) == {"own": "one", "x-stream-offset": 0}
    assert (got.envelope.body, got.envelope.message_id, got.envelope.type) == (b"body", "m", "t/1")


async def test_a_deleted_stream_takes_its_readers_away(world: World) -> None:
    await world.queue("s", STREAM, "1")
    _, inbox = await world.consume("s", 10, stream_offset="first")
    await inbox.first()
    await world.operator.delete_queue("s")
    await inbox.cancelled.wait()
