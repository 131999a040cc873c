"""A ledger records how much of the journal it includes, so a new process does not read the journal from the start."""

import asyncio

from sqlalchemy import delete, update

from successes.ledger.schema import journal, messages


async def until_written(world) -> None:
    """Wait until the ledger includes everything that is now in the journal and in the reply queue."""
    await world.handled()
    [last] = await world.published("ABC-999")
    async with asyncio.timeout(20):
        while world.states().get(last.id) != "waiting":
            await asyncio.sleep(0.02)


async def test_a_new_process_writes_only_what_the_ledger_does_not_include(world):
    async with world.running():
        [first] = await world.published("ABC-111")
        await world.ended(first)
        await until_written(world)
    await world.ledger.change(lambda connection: connection.execute(delete(messages)))
    [second] = await world.published("ABC-112")
    async with world.running():
        await world.handled()
    assert first.id not in world.states()
    assert world.states()[second.id] == "waiting"


async def test_a_ledger_of_another_journal_gets_everything(world):
    async with world.running():
        [first] = await world.published("ABC-111")
        await world.ended(first)
        await world.handled()
    await world.ledger.change(lambda connection: connection.execute(delete(messages)))
    await world.ledger.change(lambda connection: connection.execute(update(journal).values(entry="another")))
    async with world.running():
        await world.handled()
    assert world.states() == {first.id: "deployed"}
