"""Ignored moves: successes records what trackers ignored, whatever else is in the queue."""

import asyncio
from typing import TYPE_CHECKING

from aio_pika import Message

from successes.ledger.queries import PageRequest, find_ignored
from usher.broker import topology
from usher.core.ignored import IgnoredMove

if TYPE_CHECKING:
    from successes.conftest import World


def move(n: int) -> IgnoredMove:
    return IgnoredMove(id=f"{n:032x}", at=n, issue=f"ABC-{n}", status="QA", reason="unknown status QA")


async def test_an_ignored_move_is_recorded_once_and_an_unreadable_one_is_dropped(world: "World") -> None:
    def recorded() -> list[str]:
        with world.ledger.reading() as connection:
            return [str(item.issue) for item in find_ignored(connection, {}, PageRequest(1, 10)).items]

    channel = await world.link.publishing.raw.channel()
    exchange = await channel.get_exchange(topology.IGNORED, ensure=False)
    for number in (1, 1, 2):
        await world.publisher.ignored(move(number))
        await exchange.publish(Message(b"not an ignored move"), "")
    async with world.running(), asyncio.timeout(20):
        while recorded() != ["ABC-2", "ABC-1"]:
            await asyncio.sleep(0.02)
        # these have been acked before the next one is recorded
        await world.publisher.ignored(move(3))
        while recorded() != ["ABC-3", "ABC-2", "ABC-1"]:
            await asyncio.sleep(0.02)
    await channel.close()
    assert await world.waits_in(topology.IGNORED) <= {move(3).id}
