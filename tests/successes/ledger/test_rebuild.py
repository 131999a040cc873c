"""A ledger rebuilt from the journal equals the one that was written live, row by row."""

import asyncio
import os
import sys
from dataclasses import replace

import pytest
from sqlalchemy import delete, select, update

from successes.ledger import rebuild
from successes.ledger.ledger import LedgerFault
from successes.ledger.schema import covers, deploys, messages
from successes.ledger.writes import News
from usher.core.events import DeployInterrupted, Outcome
from usher.runtime.service import Stop


@pytest.fixture
def world_ledger(ledger_url):
    """Both databases."""
    return ledger_url


def everything(ledger):
    with ledger.reading() as connection:
        return {
            table.name: [tuple(row) for row in connection.execute(select(table).order_by(*table.primary_key))]
            for table in (messages, deploys, covers)
        }


async def history(world):
    """Messages that passed, failed, were superseded, interrupted, or received repeatedly; one still runs, one waits."""
    async with world.running():
        sent = await world.published("ABC-1", "ABC-2", "ABC-2", "ABC-3", "ABC-4", "ABC-5", "ABC-6")
        for _ in range(2):
            await world.publisher.message(sent[0])
        passed = await world.taken(*sent[:3])
        await world.result(world.make.ended(*sent[:3], taken=passed))
        failed = await world.taken(sent[3])
        await world.result(world.make.ended(sent[3], taken=failed, outcome=Outcome.FAILED))
        interrupted = await world.taken(sent[4])
        await world.journal.append(
            DeployInterrupted(
                deploy=interrupted.deploy,
                server=interrupted.server,
                by="x",
                reason="stopped",
                at=world.make.clock,
            )
        )
        again = await world.taken(sent[4])
        await world.result(world.make.ended(sent[4], taken=again))
        await world.taken(sent[5])
        await world.handled()
        await world.publisher.message(sent[5])
        await world.publisher.message(sent[6])
        await world.handled()
    return sent


async def test_a_ledger_written_live_equals_a_rebuilt_one_row_by_row(world, tmp_path):
    await history(world)
    live = everything(world.ledger)
    assert {row[5] for row in live["messages"]} >= {"deployed", "superseded", "deploying", "waiting"}
    assert sorted(row[12] for row in live["messages"])[-2:] == [2, 3], "received"
    with world.ledger.writing() as connection:
        for table in (covers, deploys, messages):
            connection.execute(delete(table))
    merged = await rebuild.rebuild(world.settings)
    assert everything(world.ledger) == live
    assert (merged.messages, merged.deploys, merged.kept_messages, merged.kept_deploys) == (7, 5, 0, 0)
    await rebuild.rebuild(world.settings)
    assert everything(world.ledger) == live


async def test_wrong_and_missing_rows_are_repaired_and_rows_that_the_journal_no_longer_covers_are_kept(world):
    sent = await history(world)
    older = world.make.message("DEF-9", "test")
    await world.ledger.write(News(ended=[world.make.ended(older)]))
    right = everything(world.ledger)
    with world.ledger.writing() as connection:
        connection.execute(delete(messages).where(messages.c.id == sent[0].id))
        connection.execute(
            update(messages)
            .where(messages.c.id == sent[1].id)
            .values(state="waiting", deploy=None, received=9, changed_at=1)
        )
        connection.execute(update(deploys).where(deploys.c.server != older.server).values(reason="wrong"))
        connection.execute(delete(covers).where(covers.c.message == sent[0].id))
    merged = await rebuild.rebuild(world.settings)
    assert everything(world.ledger) == right
    assert str(merged) == (
        "the ledger has 7 messages and 5 deploys from the journal, "
        "and keeps 1 messages and 1 deploys that it no longer covers"
    )


async def test_a_result_that_the_journal_never_had_is_kept(world):
    async with world.running():
        sent = await world.published("ABC-1")
        taken = await world.taken(*sent)
        await world.result(world.make.ended(*sent, taken=taken), journal=False)
        await world.handled()
        interrupted = {"deploy": taken.deploy, "server": taken.server, "by": "x", "reason": "gone"}
        await world.journal.append(DeployInterrupted(**interrupted, at=world.make.clock))
        await world.handled()
    before = everything(world.ledger)
    await rebuild.rebuild(world.settings)
    assert everything(world.ledger) == before


async def test_of_rows_older_than_the_journal_only_later_changes_are_written(world):
    first, second = world.make.message("ABC-1"), world.make.message("ABC-2")
    taken = world.make.taken(first, second)
    live = News(received={m.id: (m, 3) for m in (first, second)}, taken=[(taken, taken.messages)])
    await world.ledger.write(live)
    ended = world.make.ended(first, second, taken=taken)
    await world.journal.append(ended)
    # re-published after the journal lost its first event
    await world.publisher.message(replace(second, queued_at=world.make.clock + 5))
    await rebuild.rebuild(world.settings)
    rows = {row["id"]: row for row in world.rows()["messages"]}
    assert (rows[first.id]["state"], rows[first.id]["received"], rows[first.id]["deploy"]) == (
        "deployed",
        3,
        taken.deploy,
    )
    assert (rows[second.id]["received"], rows[second.id]["queued_at"]) == (3, second.queued_at)
    assert world.rows()["deploys"][0]["holder"] == taken.holder
    assert world.rows()["deploys"][0]["outcome"] == "passed"


def test_a_message_whose_result_comes_first_in_the_journal_is_older_than_the_journal(make):
    older, newer = make.message("ABC-1"), make.message("ABC-2")
    read = rebuild.Read()
    for event in (newer, make.ended(older, newer), older):
        read.observe(event)
    assert read.whole == {newer.id}


async def test_a_fault_or_a_stop_leaves_the_ledger_unchanged(world, monkeypatch):
    await history(world)
    with world.ledger.writing() as connection:
        connection.execute(delete(messages))
    before = everything(world.ledger)

    async def lost(*_):
        raise LedgerFault(path="fresh.db", done="written", why="disk is full", check="it has room")

    with monkeypatch.context() as broken:
        broken.setattr(rebuild, "_read", lost)
        with pytest.raises(LedgerFault):
            await rebuild.rebuild(world.settings)
    stop = Stop()
    stop.set()
    assert await rebuild.serve(world.settings, stop) == "stopped; the ledger is unchanged"
    assert everything(world.ledger) == before


@pytest.mark.slow
async def test_the_program_reports_its_result_and_can_run_beside_successes(world):
    await history(world)
    live = everything(world.ledger)
    variables = {
        "USHER_BROKER__URL": world.settings.broker.url[0].get_secret_value(),
        "USHER_SUCCESSES__LEDGER": world.settings.successes.ledger.get_secret_value(),
        "USHER_CONFIG": world.settings.source,
    }
    async with world.running():
        await world.handled()
        program = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "successes.ledger.rebuild", env=os.environ | variables, stderr=asyncio.subprocess.PIPE
        )
        said = (await program.communicate())[1].decode()
        sent = await world.published("ABC-77")
        await world.handled()
    assert program.returncode == 0, said
    assert "the ledger has 7 messages and 5 deploys from the journal" in said
    assert world.states().pop(sent[0].id) == "waiting"
    assert len(everything(world.ledger)["messages"]) == len(live["messages"]) + 1
