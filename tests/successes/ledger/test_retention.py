"""What is old leaves the ledger, and nothing that somebody may still act on does."""

import asyncio
from datetime import timedelta

import pytest
from sqlalchemy import select

from successes.ledger import retention
from successes.ledger.ledger import LedgerFault
from successes.ledger.schema import covers
from successes.ledger.writes import Moved, News
from usher.core.events import DeployInterrupted, Outcome
from usher.core.states import TERMINAL, State

DAY = 86_400_000


class Now:
    """A clock that stands still, and says when somebody sleeps on it."""

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
async def test_only_messages_in_a_last_state_are_forgotten(ledger, make, read_rows, state):
    message = make.message("ABC-1")
    await ledger.write(News(told={message.id: (message, 1)}))
    with ledger.writing() as connection:
        connection.exec_driver_sql(f"UPDATE messages SET state = '{state}'")
    assert await retention.forget_all(ledger, make.clock) == 0, "at that time is not before it"
    assert await retention.forget_all(ledger, make.clock + 1) == (state in TERMINAL)
    assert bool(read_rows(ledger)["messages"]) == (state not in TERMINAL)


async def test_ended_deploys_go_with_what_they_covered_and_one_that_runs_stays(ledger, make, read_rows):
    told = [make.message(f"ABC-{number}") for number in (1, 2, 3)]
    passed, cut, failed, runs = make.taken(told[0]), make.taken(told[1]), make.taken(told[2]), make.taken(told[1])
    facts = {"deploy": failed.deploy, "server": failed.server, "reason": "it failed"}
    await ledger.write(
        News(
            told={m.id: (m, 1) for m in told},
            taken=[(taken, taken.messages) for taken in (passed, cut, failed, runs)],
            moved={
                told[1].id: Moved(State.DEPLOYING, runs.deploy, make.clock),
                told[2].id: Moved(State.PARKED, failed.deploy, make.clock),
            },
            interrupted=[DeployInterrupted(**facts | {"deploy": cut.deploy}, by="x", at=make.clock)],
            ended=[make.ended(told[0], taken=passed), make.ended(told[2], taken=failed, outcome=Outcome.FAILED)],
        )
    )
    assert await retention.forget_all(ledger, make.clock + DAY) == 4
    left = read_rows(ledger)
    assert {row["id"] for row in left["messages"]} == {told[1].id, told[2].id}
    assert {row["id"] for row in left["deploys"]} == {runs.deploy}
    assert covered(ledger) == {(runs.deploy, told[1].id)}


async def test_much_is_forgotten_in_small_transactions(ledger, make, read_rows, monkeypatch):
    monkeypatch.setattr(retention, "MOST", 10)
    told = [make.message(f"ABC-{number}") for number in range(1, 36)]
    await ledger.write(News(ended=[make.ended(*told)]))
    with ledger.writing() as connection:
        assert retention.forget(connection, make.clock + DAY, 10) == 11
        connection.rollback()
    assert await retention.forget_all(ledger, make.clock + DAY) == 36
    assert read_rows(ledger) == {"messages": [], "deploys": []}
    assert covered(ledger) == set()


async def test_it_forgets_at_once_and_hourly_says_so_in_a_line_and_outlives_a_fault(
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
        "forgot 2 messages and deploys that had ended more than 400 days ago"
    ]

    async def fail(*_):
        raise LedgerFault(path="usher.db", done="written", why="database is locked", check="no other locks it")

    with monkeypatch.context() as broken:
        broken.setattr(ledger, "change", fail)
        await hour()
    assert caplog.records[-1].getMessage().endswith("what is old stays for another hour")
    clock.millis += 400 * DAY
    await hour()
    assert read_rows(ledger)["messages"] == []
    stop.set()
    await running
