"""Old rows are deleted from the ledger, but nothing that somebody may still act on."""

import asyncio
from datetime import timedelta
from functools import partial

import pytest
from sqlalchemy import select

from successes.ledger import retention
from successes.ledger.ledger import LedgerFault
from successes.ledger.schema import covers, ignored
from successes.ledger.writes import Moved, News, write_ignored
from usher.core.events import DeployInterrupted, Outcome
from usher.core.ignored import IgnoredMove
from usher.core.states import TERMINAL, State

DAY = 86_400_000


class Now:
    """A clock that stands still, and records each sleep."""

    def __init__(self, millis):
        self.millis = millis
        self.slept = asyncio.Queue()
        self.wake = asyncio.Event()

    def now(self):
        return self.millis

    def monotonic(self):
        return 0.0

    async def sleep(self, seconds):
        self.slept.put_nowait(seconds)
        await self.wake.wait()


def covered(ledger):
    with ledger.reading() as connection:
        return {(row.deploy, row.message) for row in connection.execute(select(covers))}


@pytest.mark.parametrize("state", list(State))
async def test_only_messages_in_a_terminal_state_are_deleted(ledger, make, read_rows, state):
    message = make.message("ABC-1")
    await ledger.write(News(received={message.id: (message, 1)}))
    with ledger.writing() as connection:
        connection.exec_driver_sql(f"UPDATE messages SET state = '{state}'")
    assert await retention.forget_all(ledger, make.clock) == 0, "a message that ended exactly at the limit is kept"
    assert await retention.forget_all(ledger, make.clock + 1) == (state in TERMINAL)
    assert bool(read_rows(ledger)["messages"]) == (state not in TERMINAL)


async def test_old_ignored_moves_are_deleted(ledger):
    moves = [IgnoredMove(id=f"{n:032x}", at=n, issue="ABC-1", status="QA", reason="") for n in (1, 2)]
    await ledger.change(partial(write_ignored, moves=moves))
    assert await retention.forget_all(ledger, 2) == 1
    with ledger.reading() as connection:
        assert [row.at for row in connection.execute(select(ignored))] == [2]


async def test_ended_deploys_are_deleted_with_their_rows_in_covers_and_running_ones_are_kept(ledger, make, read_rows):
    sent = [make.message(f"ABC-{number}") for number in (1, 2, 3)]
    passed, interrupted, failed, running = (
        make.taken(sent[0]),
        make.taken(sent[1]),
        make.taken(sent[2]),
        make.taken(sent[1]),
    )
    facts = {"deploy": failed.deploy, "server": failed.server, "reason": "it failed"}
    await ledger.write(
        News(
            received={m.id: (m, 1) for m in sent},
            taken=[(taken, taken.messages) for taken in (passed, interrupted, failed, running)],
            moved={
                sent[1].id: Moved(State.DEPLOYING, running.deploy, make.clock),
                sent[2].id: Moved(State.PARKED, failed.deploy, make.clock),
            },
            interrupted=[DeployInterrupted(**facts | {"deploy": interrupted.deploy}, by="x", at=make.clock)],
            ended=[make.ended(sent[0], taken=passed), make.ended(sent[2], taken=failed, outcome=Outcome.FAILED)],
        )
    )
    assert await retention.forget_all(ledger, make.clock + DAY) == 4
    rows = read_rows(ledger)
    assert {row["id"] for row in rows["messages"]} == {sent[1].id, sent[2].id}
    assert {row["id"] for row in rows["deploys"]} == {running.deploy}
    assert covered(ledger) == {(running.deploy, sent[1].id)}


async def test_many_rows_are_deleted_in_small_transactions(ledger, make, read_rows, monkeypatch):
    monkeypatch.setattr(retention, "MAX_ROWS", 10)
    sent = [make.message(f"ABC-{number}") for number in range(1, 36)]
    await ledger.write(News(ended=[make.ended(*sent)]))
    with ledger.writing() as connection:
        assert retention.forget(connection, make.clock + DAY, 10) == 11
        connection.rollback()
    assert await retention.forget_all(ledger, make.clock + DAY) == 36
    assert read_rows(ledger) == {"messages": [], "deploys": []}
    assert covered(ledger) == set()


async def test_rows_are_deleted_immediately_and_then_hourly_with_a_log_line_and_despite_faults(
    ledger, make, read_rows, caplog, monkeypatch
):
    caplog.set_level("INFO", logger="successes")
    old, young = make.message("ABC-1"), make.message("ABC-2")
    await ledger.write(News(ended=[make.ended(old)]))
    clock, stop = Now(make.clock + 400 * DAY + 1), asyncio.Event()
    make.clock += 200 * DAY
    await ledger.write(News(ended=[make.ended(young)]))
    running = asyncio.create_task(retention.keep_small(ledger, timedelta(days=400), clock, stop))

    async def hour():
        clock.wake.set()
        assert await clock.slept.get() == 3600
        clock.wake.clear()

    await hour()
    assert [row["id"] for row in read_rows(ledger)["messages"]] == [young.id]
    assert [e.getMessage() for e in caplog.records] == [
        "deleted 2 messages, deploys and ignored moves older than 400 days"
    ]

    async def fail(*_):
        raise LedgerFault(path="usher.db", done="written", why="database is locked", check="no other locks it")

    with monkeypatch.context() as broken:
        broken.setattr(ledger, "change", fail)
        await hour()
    assert caplog.records[-1].getMessage().endswith("old rows are kept for another hour")
    clock.millis += 400 * DAY
    await hour()
    assert read_rows(ledger)["messages"] == []
    stop.set()
    await running
