"""Streams: offsets, where readers start, and the effect of acks."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from conformance.conftest import QUORUM, SECONDS, STREAM, World, bodies, put
from usher.broker.port import Argument, ChannelClosed, Delivered, Envelope, Kind, Mismatch


def offsets(delivered: list[Delivered]) -> list[int]:
    return [int(str(got.envelope.headers["x-stream-offset"])) for got in delivered]


async def test_entries_are_numbered_from_zero_and_are_kept(world: World) -> None:
    await world.queue("s", STREAM, "1", "2", "3")
    for _ in range(2):
        channel, inbox = await world.consume("s", 10, stream_offset="first")
        assert bodies(await inbox.only(3)) == ["1", "2", "3"]
        assert offsets(inbox.got) == [0, 1, 2]
        assert not any(got.redelivered for got in inbox.got)
        await channel.ack(inbox.got[-1].tag, multiple=True)
        await channel.close()


@pytest.mark.parametrize(("start", "read"), [(1, ["2", "3", "4"]), (0, ["1", "2", "3", "4"]), (3, ["4"])])
async def test_a_reader_starts_at_an_offset(world: World, start: Argument, read: list[str]) -> None:
    channel = await world.queue("s", STREAM, "1", "2", "3")
    _, inbox = await world.consume("s", 10, stream_offset=start)
    await put(channel, "s", "4")
    assert bodies(await inbox.only(len(read))) == read


async def test_a_reader_that_starts_at_next_gets_only_new_entries(world: World) -> None:
    channel = await world.queue("s", STREAM, "1", "2", "3")
    for arguments in ({"stream_offset": "next"}, {}):
        _, inbox = await world.consume("s", 10, **arguments)
        await put(channel, "s", "new")
        assert bodies(await inbox.only(1)) == ["new"]


async def test_a_reader_that_starts_after_the_end_gets_nothing_before_that_offset(world: World) -> None:
    channel = await world.queue("s", STREAM, "1", "2", "3")
    _, inbox = await world.consume("s", 10, stream_offset=5)
    await put(channel, "s", "4", "5", "6", "7")
    assert bodies(await inbox.only(2)) == ["6", "7"]


async def test_a_reader_starts_at_a_time(world: World) -> None:
    await world.queue("s", STREAM, "1", "2")
    _, inbox = await world.consume("s", 10, stream_offset=datetime.now(UTC) - timedelta(hours=1))
    assert bodies(await inbox.only(2)) == ["1", "2"]


async def test_a_time_after_the_end_means_next(world: World) -> None:
    channel = await world.queue("s", STREAM, "1", "2")
    _, inbox = await world.consume("s", 10, stream_offset=datetime.now(UTC) + timedelta(hours=1))
    await inbox.only(0)
    await put(channel, "s", "3")
    assert bodies(await inbox.only(1)) == ["3"]


async def test_acks_allow_more_deliveries(world: World) -> None:
    channel = await world.queue("s", STREAM)
    reading, inbox = await world.consume("s", 2, stream_offset="first")
    await put(channel, "s", "1", "2", "3", "4", "5")
    assert bodies(await inbox.only(2)) == ["1", "2"]
    await reading.ack(inbox.got[0].tag)
    assert bodies(await inbox.only(3)) == ["1", "2", "3"]
    await reading.ack(inbox.got[2].tag, multiple=True)
    assert bodies(await inbox.only(5)) == ["1", "2", "3", "4", "5"]


async def test_readers_are_independent(world: World) -> None:
    channel = await world.queue("s", STREAM, "1")
    _, one = await world.consume("s", 10, stream_offset="first")
    _, two = await world.consume("s", 10, stream_offset="first")
    await put(channel, "s", "2")
    assert bodies(await one.only(2)) == bodies(await two.only(2)) == ["1", "2"]


async def test_a_stream_requires_a_prefetch(world: World) -> None:
    await world.queue("s", STREAM)
    with pytest.raises(ChannelClosed):
        await world.consume("s", 0)


async def test_an_entry_arrives_unchanged(world: World) -> None:
    channel = await world.queue("s", STREAM)
    envelope = Envelope(b"body", message_id="m", type="t/1", correlation_id="d", headers={"own": "one"})
    await channel.publish("", "s", envelope)
    _, inbox = await world.consume("s", 10, stream_offset="first")
    (got,) = await inbox.only(1)
    assert dict(got.envelope.headers) == {"own": "one", "x-stream-offset": 0}
    assert (got.envelope.body, got.envelope.message_id, got.envelope.type) == (b"body", "m", "t/1")


async def test_deleting_a_stream_cancels_its_readers(world: World) -> None:
    await world.queue("s", STREAM, "1")
    _, inbox = await world.consume("s", 10, stream_offset="first")
    await inbox.first()
    await world.operator.delete_queue("s")
    await inbox.cancelled.wait()


async def test_a_stream_counts_its_entries(world: World) -> None:
    await world.queue("s", STREAM, "1", "2")
    await world.until_count("s", 2)


async def test_a_reader_that_leaves_takes_nothing_away_from_the_next(world: World) -> None:
    await world.queue("s", STREAM, "1", "2")
    reading, inbox = await world.consume("s", 1, stream_offset="first")
    await inbox.only(1)
    await reading.close()
    _, inbox = await world.consume("s", 10, stream_offset="first")
    assert bodies(await inbox.only(2)) == ["1", "2"]


async def test_a_reader_of_trimmed_entries_starts_at_the_first_remaining_entry(world: World) -> None:
    stream: dict[str, Argument] = {**STREAM, "x-stream-max-segment-size-bytes": 2000, "x-max-length-bytes": 4000}
    channel = await world.queue("s", stream, *(f"{n:200}" for n in range(100)))
    await world.operator.trim("s")
    async with asyncio.timeout(SECONDS):
        while (first := await oldest(world)) == 0:
            await put(channel, "s", "x" * 200)
    _, inbox = await world.consume("s", 1, stream_offset=0)
    assert offsets(await inbox.first())[0] >= first  # the stream may have been trimmed further


async def oldest(world: World) -> int:
    """The offset of the stream's first entry."""
    channel, inbox = await world.consume("s", 1, stream_offset="first")
    (offset,) = offsets(await inbox.first())
    await channel.close()
    return offset


async def test_a_confirm_covers_a_queue_and_a_stream_of_the_same_exchange(world: World) -> None:
    channel = await world.queue("s", STREAM)
    await channel.declare_queue("q", QUORUM)
    await channel.declare_exchange("door", Kind.TOPIC)
    for queue in ("q", "s"):
        await channel.bind_queue(queue, "door", "#")
    await channel.publish("door", "beta.abc", Envelope(b"1"))
    assert bodies(await (await world.consume("q"))[1].only(1)) == ["1"]
    assert bodies(await (await world.consume("s", stream_offset="first"))[1].only(1)) == ["1"]


@pytest.mark.parametrize(
    "change", [{"x-stream-max-segment-size-bytes": 1000}, {"x-max-length-bytes": 1}, {"x-max-age": "1D"}], ids=str
)
async def test_declaring_a_stream_again_compares_its_arguments(world: World, change: dict[str, Argument]) -> None:
    same: dict[str, Argument] = {
        **STREAM,
        "x-stream-max-segment-size-bytes": 50_000_000,
        "x-max-length-bytes": 10_000_000_000,
        "x-max-age": "90D",
    }
    channel = await world.queue("s", same)
    await channel.declare_queue("s", same)
    with pytest.raises(Mismatch):
        await channel.declare_queue("s", {**same, **change})
