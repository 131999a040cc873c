"""The reply queue: what passed is settled, what failed is parked, and the result is acked last."""

import asyncio
import logging

import pytest

from successes.ledger import LedgerFault
from usher.broker.publisher import Publisher
from usher.errors import NotConfirmed
from usher.events import DeployEnded, DeployInterrupted, MessagesParked, Outcome, decode_message


async def test_what_passed_is_deployed_and_its_deploy_is_in_the_ledger(world, caplog):
    caplog.set_level(logging.INFO)
    async with world.running():
        told = await world.told("ABC-113", "ABC-111")
        taken = await world.taken(*told)
        ended = world.make.ended(*told, taken=taken)
        await world.result(ended)
        assert await world.handled() == []

    assert set(world.states().values()) == {"deployed"}
    assert {row["deploy"] for row in world.rows()["messages"]} == {taken.deploy}
    [deploy] = world.rows()["deploys"]
    assert (deploy["outcome"], deploy["holder"], deploy["fence"]) == ("passed", taken.holder, taken.fence)
    assert deploy["output"] == "what it printed\n"
    assert f"deploy {taken.deploy} of beta.abc.wwts.com passed in 12.3 s: ABC-111 ABC-113" in caplog.text
    assert await world.left() == []


async def test_what_failed_is_parked_with_its_reason_and_the_journal_says_so(world, caplog):
    async with world.running():
        told = await world.told("ABC-111", "ABC-113")
        taken = await world.taken(*told)
        await world.result(world.make.ended(*told, taken=taken, outcome=Outcome.FAILED))
        parked = await world.handled()

    assert [decode_message(delivery.body) for delivery in parked] == told
    assert [delivery.message_id for delivery in parked] == [message.id for message in told]
    assert parked[0].headers == {"reason": "exit code 2", "deploy": taken.deploy}
    assert set(world.states().values()) == {"parked"}
    assert [event for event in world.seen if isinstance(event, MessagesParked)] == [
        MessagesParked(deploy=taken.deploy, server=taken.server, messages=taken.messages, reason="exit code 2")
    ]
    assert "failed in 12.3 s: exit code 2; parked: ABC-111 ABC-113" in caplog.text
    assert await world.left() == []


async def test_an_older_message_of_the_same_issue_is_superseded_and_only_the_newest_is_parked(world):
    async with world.running():
        older, newer = await world.told("ABC-111", "ABC-111")
        taken = await world.taken(older, newer)
        await world.result(world.make.ended(older, newer, taken=taken, outcome=Outcome.TIMED_OUT))
        parked = await world.handled()

    assert [delivery.message_id for delivery in parked] == [newer.id]
    assert world.states() == {older.id: "superseded", newer.id: "parked"}


async def test_the_same_result_twice_parks_once(world):
    async with world.running():
        told = await world.told("ABC-111")
        ended = world.make.ended(*told, taken=await world.taken(*told), outcome=Outcome.FAILED)
        await world.result(ended)
        first = await world.handled()
        before = world.rows()
        await world.result(ended)
        again = await world.handled()

    assert (len(first), len(again)) == (1, 0)
    assert world.rows() == before
    assert await world.left() == []


async def test_a_result_whose_copy_in_the_journal_is_missing_counts_all_the_same(world):
    async with world.running():
        passed, failed = await world.told("ABC-111", "DEF-5")
        await world.result(world.make.ended(passed, taken=await world.taken(passed)), journal=False)
        ended = world.make.ended(failed, taken=await world.taken(failed), outcome=Outcome.FAILED)
        await world.result(ended, journal=False)
        assert len(await world.handled()) == 1

    assert world.states() == {passed.id: "deployed", failed.id: "parked"}
    async with world.running():
        await world.handled()
    assert world.states() == {passed.id: "deployed", failed.id: "parked"}, "also after a replay"


async def test_what_has_passed_stays_deployed_when_a_later_deploy_of_it_fails(world):
    async with world.running():
        [message] = await world.told("ABC-111")
        await world.result(world.make.ended(message))
        await world.result(world.make.ended(message, outcome=Outcome.FAILED))
        assert await world.handled() == []

    assert world.states() == {message.id: "deployed"}


async def test_a_later_pass_settles_what_was_parked(world):
    async with world.running():
        [message] = await world.told("ABC-111")
        await world.result(world.make.ended(message, outcome=Outcome.FAILED))
        assert len(await world.handled()) == 1
        await world.result(world.make.ended(message))
        await world.handled()

    assert world.states() == {message.id: "deployed"}


async def test_what_an_interrupted_deploy_had_parked_is_not_parked_again_but_the_journal_is_told(world):
    async with world.running():
        [message] = await world.told("ABC-111")
        first = await world.taken(message)
        await world.journal.append(
            DeployInterrupted(deploy=first.deploy, server=first.server, by="x", reason="gone", at=first.taken_at)
        )
        await world.result(world.make.ended(message, taken=first, outcome=Outcome.FAILED))
        assert len(await world.handled()) == 1
        second = await world.taken(message)
        await world.result(world.make.ended(message, taken=second, outcome=Outcome.FAILED))
        assert await world.handled() == []

    parked = [event.deploy for event in world.seen if isinstance(event, MessagesParked)]
    assert parked == [first.deploy, second.deploy]
    assert {row["id"]: row["outcome"] for row in world.rows()["deploys"]} == dict.fromkeys(parked, "failed")


async def test_a_result_that_cannot_be_read_is_parked_with_its_reason(world):
    async with world.running():
        [message] = await world.told("ABC-111")
        await world.publisher.result(message, "not-a-result")
        parked = await world.handled()
        assert await world.handled() == []

    assert [delivery.headers["reason"] for delivery in parked] == ["not a message of Usher's: message is not a result"]
    assert await world.left() == []


async def test_a_result_is_not_acked_before_it_is_in_the_ledger(world, monkeypatch, caplog):
    monkeypatch.setattr("successes.service.LEDGER_PAUSE", 0.01)
    write, failed = type(world.ledger).write, asyncio.Event()

    async def fails_once(ledger, news):
        if news.ended and not failed.is_set():
            failed.set()
            raise LedgerFault(path="usher.db", done="written", why="database or disk is full", check="it has room")
        await write(ledger, news)

    monkeypatch.setattr(type(world.ledger), "write", fails_once)
    async with world.running():
        [message] = await world.told("ABC-111")
        await world.result(world.make.ended(message, outcome=Outcome.FAILED), journal=False)
        assert [delivery.message_id for delivery in await world.handled()] == [message.id]

    assert failed.is_set()
    assert "cannot be written: database or disk is full" in caplog.text
    assert world.states() == {message.id: "parked"}
    assert await world.left() == []


@pytest.mark.parametrize("step", ["park", "event"])
async def test_a_crash_while_parking_is_made_good_when_the_result_comes_again(world, monkeypatch, step):
    does, failed = getattr(Publisher, step), asyncio.Event()

    async def fails_once(publisher, what, *more):
        if not failed.is_set() and (step == "park" or isinstance(what, MessagesParked)):
            failed.set()
            raise NotConfirmed(what="it", why="no answer")
        await does(publisher, what, *more)

    monkeypatch.setattr(Publisher, step, fails_once)
    async with world.running():
        [message] = await world.told("ABC-111")
        ended: DeployEnded = world.make.ended(message, outcome=Outcome.FAILED)
        await world.result(ended)
        assert [delivery.message_id for delivery in await world.handled()] == [message.id]

    assert failed.is_set()
    assert world.states() == {message.id: "parked"}
    assert [event.deploy for event in world.seen if isinstance(event, MessagesParked)] == [ended.deploy]
    assert await world.left() == []
