"""The reply queue: passed messages are settled, failed ones are retried or parked, and the result is acked last."""

import asyncio
import logging

import pytest

from successes.ledger.ledger import LedgerFault
from usher.broker.publisher import Publisher
from usher.core.errors import NotConfirmed
from usher.core.events import MessagesParked, MessagesRetried, MessagesWithdrawn, Outcome, Retry, decode_message


async def test_messages_that_passed_are_deployed_and_their_deploy_is_in_the_ledger(world, caplog):
    caplog.set_level(logging.INFO)
    async with world.running():
        sent = await world.published("ABC-113", "ABC-111")
        taken = await world.taken(*sent)
        ended = world.make.ended(*sent, taken=taken)
        await world.result(ended)
        assert await world.handled() == []

    assert set(world.states().values()) == {"deployed"}
    assert {row["deploy"] for row in world.rows()["messages"]} == {taken.deploy}
    [deploy] = world.rows()["deploys"]
    assert (deploy["outcome"], deploy["holder"], deploy["fence"]) == ("passed", taken.holder, taken.fence)
    assert deploy["output"] == "what it printed\n"
    assert f"deploy {taken.deploy} of beta.abc.wwts.com passed in 12.3 s: ABC-111 ABC-113" in caplog.text
    assert await world.left() == []


async def test_messages_that_failed_are_parked_with_the_reason_and_the_journal_records_it(world, caplog):
    async with world.running():
        sent = await world.published("ABC-111", "ABC-113")
        taken = await world.taken(*sent)
        await world.result(world.make.ended(*sent, taken=taken, outcome=Outcome.FAILED))
        parked = await world.handled()

    assert [decode_message(delivery.body) for delivery in parked] == sent
    assert [delivery.message_id for delivery in parked] == [message.id for message in sent]
    assert parked[0].headers == {
        "reason": "exit code 2",
        "deploy": taken.deploy,
        "outcome": "failed",
        "output": "what it printed\n",
    }
    assert set(world.states().values()) == {"parked"}
    assert [event for event in world.seen if isinstance(event, MessagesParked)] == [
        MessagesParked(deploy=taken.deploy, server=taken.server, messages=taken.messages, reason="exit code 2")
    ]
    assert "failed in 12.3 s: exit code 2; parked: ABC-111 ABC-113" in caplog.text
    assert await world.left() == []


async def test_an_older_message_of_the_same_issue_is_superseded_and_only_the_newest_is_parked(world):
    async with world.running():
        older, newer = await world.published("ABC-111", "ABC-111")
        taken = await world.taken(older, newer)
        await world.result(world.make.ended(older, newer, taken=taken, outcome=Outcome.TIMED_OUT))
        parked = await world.handled()

    assert [delivery.message_id for delivery in parked] == [newer.id]
    assert world.states() == {older.id: "superseded", newer.id: "parked"}


async def test_a_result_that_is_delivered_twice_parks_its_messages_once(world):
    async with world.running():
        sent = await world.published("ABC-111")
        ended = world.make.ended(*sent, taken=await world.taken(*sent), outcome=Outcome.FAILED)
        await world.result(ended)
        first = await world.handled()
        before = world.rows()
        await world.result(ended)
        again = await world.handled()

    assert (len(first), len(again)) == (1, 0)
    assert world.rows() == before
    assert await world.left() == []


async def test_a_result_is_decided_about_even_before_its_copy_is_in_the_journal(world):
    async with world.running():
        passed, failed = await world.published("ABC-111", "DEF-5")
        await world.result(world.make.ended(passed, taken=await world.taken(passed)), journal=False)
        ended = world.make.ended(failed, taken=await world.taken(failed), outcome=Outcome.FAILED)
        await world.result(ended, journal=False)
        assert len(await world.handled()) == 1
        assert world.states() == {passed.id: "deployed", failed.id: "deploying"}
        await world.journal.append(ended)
        await world.handled()

    assert world.states() == {passed.id: "deployed", failed.id: "parked"}
    async with world.running():
        await world.handled()
    assert world.states() == {passed.id: "deployed", failed.id: "parked"}, "the same after a replay"


async def test_a_message_that_passed_stays_deployed_although_its_deploy_was_interrupted_and_its_next_one_fails(world):
    async with world.running():
        [message] = await world.published("ABC-111")
        first = await world.taken(message)
        await world.interrupted(first)
        await world.result(world.make.ended(message, taken=first))
        await world.ended(message, outcome=Outcome.FAILED)
        await world.handled()

    assert world.states() == {message.id: "deployed"}


async def test_a_later_pass_of_the_issue_settles_its_parked_message(world):
    async with world.running():
        [older] = await world.published("ABC-111")
        await world.ended(older, outcome=Outcome.FAILED)
        assert len(await world.handled()) == 1
        [newer] = await world.published("ABC-111")
        passed = await world.ended(newer)
        await world.handled()

    assert world.states() == {older.id: "superseded", newer.id: "deployed"}
    assert {row["deploy"] for row in world.rows()["messages"]} == {passed.deploy}


async def test_the_messages_of_an_interrupted_deploy_wait_again_whatever_its_result_says(world, caplog):
    caplog.set_level(logging.INFO)
    async with world.running():
        [message] = await world.published("ABC-111")
        first = await world.taken(message)
        await world.interrupted(first)
        await world.result(world.make.ended(message, taken=first, outcome=Outcome.FAILED))
        assert await world.handled() == []

    assert world.states() == {message.id: "waiting"}
    assert "exit code 2; nothing to retry" in caplog.text
    assert [row["outcome"] for row in world.rows()["deploys"]] == ["failed"]
    assert await world.left() == []


async def test_a_result_that_cannot_be_read_is_parked_with_its_reason(world):
    async with world.running():
        [message] = await world.published("ABC-111")
        await world.publisher.result(message, "not-a-result")
        parked = await world.handled()
        assert await world.handled() == []

    assert [delivery.headers["reason"] for delivery in parked] == ["not an Usher message: message is not a result"]
    assert await world.left() == []


async def test_a_result_is_not_acked_before_it_is_in_the_ledger(world, monkeypatch, caplog):
    monkeypatch.setattr("successes.service.PAUSE", 0.01)
    write, failed = type(world.ledger).write, asyncio.Event()

    async def fails_once(ledger, news):
        if news.ended and not failed.is_set():
            failed.set()
            raise LedgerFault(path="usher.db", done="written", why="database or disk is full", check="it has room")
        await write(ledger, news)

    monkeypatch.setattr(type(world.ledger), "write", fails_once)
    async with world.running():
        [message] = await world.published("ABC-111")
        await world.ended(message, outcome=Outcome.FAILED)
        assert [delivery.message_id for delivery in await world.handled()] == [message.id]

    assert failed.is_set()
    assert "cannot be written: database or disk is full" in caplog.text
    assert world.states() == {message.id: "parked"}
    assert await world.left() == []


@pytest.mark.parametrize("step", ["park", "event"])
async def test_parking_is_completed_after_a_crash_when_the_result_is_delivered_again(world, monkeypatch, step):
    failed = fails_once(monkeypatch, step, MessagesParked)
    async with world.running():
        [message] = await world.published("ABC-111")
        ended = await world.ended(message, outcome=Outcome.FAILED)
        twice = [message.id] * (2 if step == "event" else 1)
        assert [delivery.message_id for delivery in await world.handled()] == twice

    assert failed.is_set()
    assert world.states() == {message.id: "parked"}
    assert [event.deploy for event in world.seen if isinstance(event, MessagesParked)] == [ended.deploy]
    assert await world.left() == []


def fails_once(monkeypatch, step, kind):
    """Make the publisher fail once in that step; for events, only for one of that kind."""
    does, failed = getattr(Publisher, step), asyncio.Event()

    async def fails(publisher, what, *more, **facts):
        if not failed.is_set() and (step != "event" or isinstance(what, kind)):
            failed.set()
            raise NotConfirmed(what="it", why="no answer")
        await does(publisher, what, *more, **facts)

    monkeypatch.setattr(Publisher, step, fails)
    return failed


async def test_a_failed_message_is_retried_after_the_first_delay_and_the_journal_knows_it_first(make_world, caplog):
    world = await make_world(RETRIES__DELAYS='["1h", "2h"]', RETRIES__JITTER="0")
    async with world.running():
        sent = await world.published("ABC-111", "ABC-113")
        ended = await world.ended(*sent, outcome=Outcome.FAILED)
        assert await world.handled() == []

    [event] = [event for event in world.seen if isinstance(event, MessagesRetried)]
    assert (event.deploy, event.reason, event.by) == (ended.deploy, "exit code 2", None)
    nexts = [message.again(event.at + 3_600_000, deploy=ended.deploy) for message in sent]
    assert [retry.next for retry in event.retries] == nexts
    assert world.states() == {**{m.id: "retried" for m in sent}, **{m.id: "retrying" for m in nexts}}
    assert {row["due_at"] for row in world.rows()["messages"] if row["attempt"] == 2} == {event.at + 3_600_000}
    assert await world.waits_in("usher.retry.1h") == {m.id for m in nexts}
    assert "exit code 2; retry in 3600 s: ABC-111 ABC-113" in caplog.text


@pytest.mark.parametrize("step", ["retry", "event"])
async def test_a_retry_is_completed_after_a_crash_when_the_result_is_delivered_again(make_world, monkeypatch, step):
    world = await make_world(RETRIES__DELAYS='["1h"]')
    failed = fails_once(monkeypatch, step, MessagesRetried)
    async with world.running():
        [message] = await world.published("ABC-111")
        await world.ended(message, outcome=Outcome.FAILED)
        assert await world.handled() == []
        assert failed.is_set()
        [again] = world.journal.board.server(message.server).retrying

    assert await world.waits_in("usher.retry.1h") == {again}
    assert len([event for event in world.seen if isinstance(event, MessagesRetried)]) == 1
    assert await world.left() == []


async def test_a_message_that_was_withdrawn_during_its_deploy_is_not_retried(make_world):
    world = await make_world(RETRIES__DELAYS='["1h"]')
    async with world.running():
        one, other = await world.published("ABC-111", "ABC-113")
        taken = await world.taken(one, other)
        order = MessagesWithdrawn(server=one.server, messages=(one.id,), by="ann", at=world.make.clock)
        await world.journal.append(order)
        await world.result(world.make.ended(one, other, taken=taken, outcome=Outcome.FAILED), journal=False)
        await world.handled()
        await world.journal.append(world.make.ended(one, other, taken=taken, outcome=Outcome.FAILED))
        await world.handled()

    assert world.states()[one.id] == "withdrawn"
    assert world.states()[other.id] == "retried"


async def test_a_decision_that_two_replicas_make_counts_once(make_world):
    world = await make_world(RETRIES__DELAYS='["1h"]')
    async with world.running():
        [message] = await world.published("ABC-111")
        ended = await world.ended(message, outcome=Outcome.FAILED)
        await world.handled()
        [again] = world.journal.board.server(message.server).retrying
        later = MessagesRetried(
            deploy=ended.deploy,
            server=ended.server,
            retries=(Retry(failed=message.id, next=message.again(world.make.clock, deploy=ended.deploy)),),
            reason="exit code 2",
            at=world.make.clock,
        )
        assert await world.journal.append(later) == ()
        await world.result(ended)
        await world.handled()

    assert world.states() == {message.id: "retried", again: "retrying"}


@pytest.mark.slow
async def test_two_replicas_on_the_same_queues_and_ledger_lose_and_duplicate_nothing(make_world):
    world = await make_world(RETRIES__DELAYS='["1s"]', RETRIES__JITTER="0.9")
    async with world.running(), world.running():
        sent = await world.published(*(f"ABC-{number}" for number in range(1, 21)))
        for message in sent:
            await world.ended(message, outcome=Outcome.FAILED)
        async with asyncio.timeout(20):
            server = world.journal.board.server(sent[0].server)
            while len(server.waiting) < len(sent) or set(world.states().values()) != {"retried", "waiting"}:
                await asyncio.sleep(0.05)

    assert sorted(message.origin for message in server.waiting) == sorted(message.id for message in sent)
    assert {message.attempt for message in server.waiting} == {2}
    assert len(world.states()) == 2 * len(sent)
    assert await world.left() == []
