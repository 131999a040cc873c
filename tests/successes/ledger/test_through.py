"""A ledger knows how far it has been told: a new process need not read the journal from its first entry."""

import asyncio

from sqlalchemy import delete, update

from successes.ledger.schema import journal, messages


async def told_everything(world) -> None:
    """Wait until the ledger has been told all that is in the journal and in the reply queue by now."""
    await world.handled()
    [last] = await world.told("ABC-999")
    async with asyncio.timeout(20):
        while world.states().get(last.id) != "waiting":
            await asyncio.sleep(0.02)


async def test_a_new_process_tells_the_ledger_only_what_it_has_not_heard_of(world):
    async with world.running():
        [first] = await world.told("ABC-111")
        await world.ended(first)
        await told_everything(world)
    await world.ledger.change(lambda connection: connection.execute(delete(messages)))
    [second] = await world.told("ABC-112")
    async with world.running():
        await world.handled()
    assert first.id not in world.states()
    assert world.states()[second.id] == "waiting"


async def test_a_ledger_that_was_told_by_another_journal_is_told_everything(world):
    async with world.running():
        [first] = await world.told("ABC-111")
        await world.ended(first)
        await world.handled()
    await world.ledger.change(lambda connection: connection.execute(delete(messages)))
    await world.ledger.change(lambda connection: connection.execute(update(journal).values(entry="another")))
    async with world.running():
        await world.handled()
    assert world.states() == {first.id: "deployed"}
