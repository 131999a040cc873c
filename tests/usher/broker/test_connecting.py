"""Closing: what takes too long costs no connection. Without a broker."""

import asyncio

from usher.broker.connecting import channel_closed, closed


async def test_a_channel_that_closes_slowly_is_not_asked_a_second_time() -> None:
    answered, cancelled = asyncio.Event(), []

    async def close() -> None:
        try:
            await answered.wait()
        except asyncio.CancelledError:
            cancelled.append("again")
            raise

    await channel_closed(close(), 0.01)
    answered.set()
    await asyncio.sleep(0)
    assert cancelled == []


async def test_closing_a_lost_channel_or_connection_raises_nothing() -> None:
    async def close() -> None:
        raise ConnectionError("lost")

    await channel_closed(close(), 1)
    await closed(close(), 1)


async def test_a_connection_that_does_not_close_in_time_is_given_up() -> None:
    given_up = asyncio.Event()

    async def close() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            given_up.set()

    await closed(close(), 0.01)
    assert given_up.is_set()
