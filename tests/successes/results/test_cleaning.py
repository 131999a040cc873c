"""Cleaning removes from `usher.parked` the messages that have been settled, and nothing else."""

import asyncio
import logging
import re
from contextlib import AsyncExitStack

import pytest

from successes.results.cleaning import Cleaning
from usher.broker import topology
from usher.broker.consumer import consume
from usher.core.events import MessagesWithdrawn, Outcome, encode


@pytest.fixture
async def world(make_world, monkeypatch, caplog):
    caplog.set_level(logging.INFO)
    monkeypatch.setattr("successes.results.cleaning.QUIET_SECONDS", 0.2)
    return await make_world(watching=False, RETRIES__DELAYS="[]")


async def park(world, key):
    """Send a message whose deploy fails, and wait until it is parked."""
    [message] = await world.published(key)
    await world.ended(message, outcome=Outcome.FAILED)
    changed = world.journal.changed(message.server)
    async with asyncio.timeout(20):
        while world.journal.board.state(message.id) != "parked":
            await changed.wait()
            changed.clear()
    return message


async def until_removed(caplog, count):
    """Wait until this many have been removed."""
    async with asyncio.timeout(20):
        while sum(map(int, re.findall(r"removed (\d+) settled messages from usher.parked", caplog.text))) < count:
            await asyncio.sleep(0.02)


async def test_messages_settled_by_a_later_pass_or_an_order_are_removed_and_others_are_kept(world, caplog):
    async with world.running():
        older, dropped, stays = [await park(world, key) for key in ("ABC-1", "ABC-2", "ABC-3")]
        await world.publisher.park(b"nonsense", "unreadable", "cannot be read")
        await world.publisher.park(encode(older), older.id, "parked twice")
        unknown = world.make.message("ABC-4")
        await world.publisher.park(encode(unknown), unknown.id, "unknown to the journal")
        await world.ended(*await world.published("ABC-1"))
        order = MessagesWithdrawn(server=dropped.server, messages=(dropped.id,), by="ann", at=world.make.clock)
        await world.journal.append(order)
        await until_removed(caplog, 3)
    assert await world.waits_in(topology.PARKED) == {stays.id, unknown.id, "unreadable"}


@pytest.mark.slow
async def test_messages_settled_while_successes_was_stopped_are_removed_after_its_start(world, caplog):
    async with world.running():
        older = await park(world, "ABC-1")
        stays = await park(world, "ABC-2")
    await world.ended(*await world.published("ABC-1"))
    assert older.id in await world.waits_in(topology.PARKED)
    async with world.running():
        await until_removed(caplog, 1)
    assert await world.waits_in(topology.PARKED) == {stays.id}


async def test_unreadable_messages_are_listed_with_the_reason_and_kept(world, monkeypatch):
    monkeypatch.setattr("successes.results.cleaning.FRESH_SECONDS", 0)
    async with world.running():
        await park(world, "ABC-1")
        for number, body in enumerate((b"nonsense \xff\x1b[2J" + b"x" * 300, b'{"kind": "message"}')):
            await world.publisher.park(body, f"{number:032x}", f"it cannot be read ({number})")
        found = await world.service.cleaning.unreadable()
        assert [(one.id, one.reason, one.size) for one in found] == [
            ("0" * 32, "it cannot be read (0)", 314),
            (f"{1:032x}", "it cannot be read (1)", 19),
        ]
        assert found[0].beginning == "nonsense \ufffd\x1b[2J" + "x" * 186
        monkeypatch.setattr("successes.results.cleaning.FRESH_SECONDS", 60)
        assert await world.service.cleaning.unreadable() is found, "the queue is not read again within seconds"
    assert len(await world.waits_in(topology.PARKED)) == 3


async def test_without_a_connection_the_unreadable_messages_of_the_last_pass_are_listed(monkeypatch):
    monkeypatch.setattr("successes.results.cleaning.LOOK_SECONDS", 0.05)
    assert await Cleaning().unreadable() == []


async def test_a_message_that_was_never_parked_on_the_board_is_removed_when_it_passes(world, caplog):
    [settled], [waiting] = await world.published("ABC-1"), await world.published("ABC-2")
    for message in (settled, waiting):
        # as if a `successes` had parked it because of a result whose copy never reached the journal
        await world.publisher.park(encode(message), message.id, "exit code 1")
    await world.ended(settled)
    async with world.running():
        await until_removed(caplog, 1)
        await world.ended(waiting)
        await until_removed(caplog, 2)
    assert await world.waits_in(topology.PARKED) == set()


async def test_a_message_that_a_lost_connection_held_at_the_start_is_removed_once_it_is_released(
    world, caplog, monkeypatch
):
    monkeypatch.setattr("successes.results.cleaning.HELD_SECONDS", 1.0)
    [settled] = await world.published("ABC-1")
    await world.publisher.park(encode(settled), settled.id, "exit code 1")
    await world.ended(settled)
    looked, released, cleans, passes = asyncio.Event(), asyncio.Event(), Cleaning._clean, []

    async def noted(self, *arguments):
        passes.append(await cleans(self, *arguments))
        looked.set()
        await released.wait()
        return passes[-1]

    monkeypatch.setattr(Cleaning, "_clean", noted)
    async with AsyncExitStack() as stack:
        async with consume(world.link, topology.PARKED, "lost", prefetch=10) as lost:
            await lost.get()
            await stack.enter_async_context(world.running())
            await asyncio.wait_for(looked.wait(), 20)
        released.set()
        await until_removed(caplog, 1)
    assert passes[0] == 0
