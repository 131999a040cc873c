"""Messages that return from a retry queue: re-published if they are still wanted, dropped if not."""

import asyncio
import logging

import pytest
from aio_pika import Message

from usher.broker import topology
from usher.broker.publisher import Publisher
from usher.core.errors import NotConfirmed
from usher.core.events import MessagesRetried, MessagesWithdrawn, Outcome, encode
from usher.core.messages import BackMessage
from usher.core.states import State


@pytest.fixture
async def world(make_world):
    return await make_world(RETRIES__DELAYS='["1s"]', RETRIES__JITTER="0.9")


@pytest.fixture
async def slow_world(make_world):
    """A world with some time between a failure and its retry."""
    return await make_world(RETRIES__DELAYS='["3s"]', RETRIES__JITTER="0")


async def until(world, message, state):
    """Wait until the board has that message in that state."""
    changed = world.journal.changed(message.server)
    async with asyncio.timeout(20):
        while world.journal.board.state(message.id) is not state:
            await changed.wait()
            changed.clear()
            await world.journal.barrier()


async def test_a_failed_message_waits_again_as_its_next_attempt_after_the_delay(world):
    async with world.running():
        [message] = await world.published("ABC-111")
        ended = await world.ended(message, outcome=Outcome.FAILED)
        await world.handled()
        again = message.again(0, deploy=ended.deploy)
        await until(world, again, State.WAITING)
        [entry] = world.journal.board.server(message.server).open.values()
        async with asyncio.timeout(20):
            while world.states().get(again.id) != "waiting":
                await asyncio.sleep(0.02)

    assert (entry.message.id, entry.message.attempt, entry.message.origin) == (again.id, 2, message.id)
    [event] = [event for event in world.seen if isinstance(event, MessagesRetried)]
    assert entry.message.queued_at >= event.at + 100, "jitter leaves at least a tenth of the second"
    assert world.states() == {message.id: "retried", again.id: "waiting"}
    assert again.id in await world.waits_in(topology.server_queue(message.server))
    assert await world.waits_in(topology.RETURNS) == set()


@pytest.mark.slow
async def test_a_retry_that_a_pass_has_settled_is_not_published(slow_world, caplog):
    world = slow_world
    caplog.set_level(logging.INFO)
    async with world.running():
        older, newer = await world.published("ABC-111"), await world.published("ABC-111")
        await world.ended(*older, outcome=Outcome.FAILED)
        await world.handled()
        await world.ended(*newer)
        await until_logged(caplog, "ABC-111 of beta.abc.wwts.com is superseded: not retried")

    assert [event.id for event in world.seen if isinstance(event, BackMessage)] == [older[0].id, newer[0].id]
    assert await world.waits_in(topology.RETURNS) == set()


@pytest.mark.slow
async def test_a_retry_that_was_withdrawn_is_not_published(slow_world, caplog):
    world = slow_world
    caplog.set_level(logging.INFO)
    async with world.running():
        [message] = await world.published("ABC-111")
        await world.ended(message, outcome=Outcome.FAILED)
        await world.handled()
        [again] = world.journal.board.server(message.server).retrying
        await world.journal.append(MessagesWithdrawn(server=message.server, messages=(again,), by="ann", at=1))
        await until_logged(caplog, "ABC-111 of beta.abc.wwts.com is withdrawn: not retried")

    assert world.states() == {message.id: "retried", again: "withdrawn"}


async def test_a_message_that_the_journal_does_not_know_is_published_and_an_unreadable_one_is_parked(world, caplog):
    caplog.set_level(logging.INFO)
    unknown = world.make.message("ABC-5").again(1)
    async with world.running():
        await world.handled()
        await put(world, b"nonsense", "x")
        await put(world, encode(unknown), unknown.id)
        await until(world, unknown, State.WAITING)
        [parked] = await world.handled()

    assert (parked.body, parked.message_id) == (b"nonsense", "x")
    assert "Invalid JSON" in parked.headers["reason"]


async def test_a_server_whose_queue_is_full_delays_only_its_own_retries(make_world, monkeypatch, caplog):
    caplog.set_level(logging.INFO)
    monkeypatch.setattr("successes.results.returns.POSTPONED", 1000)
    publish = Publisher.message
    is_full = True

    async def refuse(publisher, message):
        if message.server == full.server and is_full:
            raise NotConfirmed(what="it", why="a queue is full")
        await publish(publisher, message)

    world = await make_world(RETRIES__DELAYS='["1s"]')
    full, other = (world.make.message(key).again(1) for key in ("ABC-5", "DEF-5"))
    monkeypatch.setattr(Publisher, "message", refuse)
    async with world.running():
        for message in (full, other):
            await put(world, encode(message), message.id)
        await until(world, other, State.WAITING)
        assert "ABC-5 of beta.abc.wwts.com is waiting for its retry" in caplog.text
        is_full = False
        await until(world, full, State.WAITING)
    assert await world.waits_in(topology.RETURNS) == set()


async def put(world, body, message_id):
    """Put something into the queue of returning messages."""
    async with world.link.publishing.raw.channel() as channel:
        exchange = await channel.get_exchange(topology.RETURNS, ensure=False)
        await exchange.publish(Message(body, message_id=message_id), "")


async def until_logged(caplog, words):
    async with asyncio.timeout(20):
        while words not in caplog.text:
            await asyncio.sleep(0.02)
