"""Entries for newer versions: successes leaves its queues, keeps the ledger's position, and resumes later."""

import asyncio
from typing import Any

from newer import NewerResult, write_covering_checkpoint, write_newer_fact
from usher.broker import topology


async def until_unready(world: Any, why: str | None) -> None:
    """Wait until the service is not ready and gives this reason; None: until it is ready."""
    async with asyncio.timeout(20):
        while (reason := await world.service.unready()) is not why and not (why and reason and why in reason):
            await asyncio.sleep(0.02)


async def until_nobody_consumes(world: Any, *queues: str) -> None:
    async with asyncio.timeout(20), world.link.publishing.raw.channel() as channel:
        for queue in queues:
            while (await channel.declare_queue(queue, passive=True)).declaration_result.consumer_count:
                await asyncio.sleep(0.02)


async def test_on_a_journal_for_newer_readers_it_handles_no_results_until_a_checkpoint(world: Any) -> None:
    [before] = await world.published("ABC-1")
    async with world.running():
        await world.handled()
        await write_newer_fact(world.publisher)
        await until_unready(world, "entry")
        await until_nobody_consumes(world, topology.RESULTS, topology.RETURNS)
        [after] = await world.published("ABC-2")
        ended = world.make.ended(before)
        await world.publisher.result(ended, ended.deploy)
        assert world.states() == {before.id: "waiting"}

        await write_covering_checkpoint(world.publisher, world.journal)
        await until_unready(world, None)
        async with asyncio.timeout(20):
            while world.states() != {before.id: "deployed", after.id: "waiting"}:
                await asyncio.sleep(0.02)


async def test_the_ledger_keeps_its_position_while_the_journal_is_not_understood(world: Any) -> None:
    async with world.running():
        await world.published("ABC-1")
        await world.handled()
        await write_newer_fact(world.publisher)
        await until_unready(world, "entry")
        await world.published("ABC-2")
    through = await world.ledger.through()
    assert through is not None
    assert through.offset <= world.journal.position.offset


async def test_a_result_for_newer_readers_is_neither_parked_nor_acked(world: Any) -> None:
    [message] = await world.published("ABC-1")
    ended = world.make.ended(message)
    newer = NewerResult.model_validate(ended.model_dump())
    async with world.running():
        await until_unready(world, None)
        await world.publisher.result(newer, newer.deploy)
        await until_unready(world, f"result {newer.deploy} needs a newer Usher")
        await until_nobody_consumes(world, topology.RESULTS)
    assert world.states() == {message.id: "waiting"}
    assert [newer.deploy.encode() in body for body in await world.left()] == [True]
    assert await world.waits_in(topology.PARKED) == set()
