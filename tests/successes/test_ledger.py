"""The ledger: whatever is written, twice and in any order, no message's state goes back."""

import asyncio
import sqlite3
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as rules
from hypothesis import strategies as st
from sqlalchemy import create_engine, event

from successes import writes
from successes.ledger import Ledger, LedgerFault
from successes.schema import messages, metadata
from successes.writes import Moved, News
from usher.errors import ServiceError
from usher.events import DeployInterrupted, MessagesParked, Outcome
from usher.states import State

RANK = {"waiting": 0, "deploying": 0, "failed": 1, "parked": 2, "superseded": 3, "deployed": 3}


def every_news(make):
    """All that may be written about three messages, two of them of one issue, and their two deploys."""
    told = [make.message(key) for key in ("ABC-1", "ABC-1", "ABC-2")]
    news = [News(told={m.id: (m, times)}) for m in told for times in (1, 2)]
    news.append(News(moved={m.id: Moved(State.WAITING, None, make.clock) for m in told}))
    for taken in (make.taken(*told), make.taken(*told)):
        deploying = Moved(State.DEPLOYING, taken.deploy, taken.taken_at)
        facts = {"deploy": taken.deploy, "server": taken.server, "reason": "it failed"}
        news += [
            News(taken=[(taken, taken.messages)], moved=dict.fromkeys(taken.messages, deploying)),
            News(interrupted=[DeployInterrupted(**facts, by="x", at=make.clock)]),
            News(parked=[MessagesParked(**facts, messages=taken.messages)]),
        ]
        for some in (told, told[:1]):
            for outcome in (Outcome.PASSED, Outcome.FAILED):
                news.append(News(ended=[make.ended(*some, taken=taken, outcome=outcome)]))
    return news


KINDS_OF_NEWS = 21


@rules(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=150)
@given(order=st.lists(st.integers(0, KINDS_OF_NEWS - 1), max_size=40))
def test_no_order_of_writes_takes_a_state_back_and_the_last_one_again_changes_nothing(make, order):
    news = every_news(make)
    assert len(news) == KINDS_OF_NEWS
    engine = create_engine("sqlite://")
    with engine.connect() as connection:
        metadata.create_all(connection)
        before = {}
        for number in order:
            writes.write(connection, news[number])
            now = {row.id: row.state for row in connection.execute(messages.select())}
            for message, state in before.items():
                assert RANK[now[message]] >= RANK[state]
                assert RANK[state] < 3 or now[message] == state
            before = now
        rows = connection.execute(messages.select()).all()
        if order:
            writes.write(connection, news[order[-1]])
        assert connection.execute(messages.select()).all() == rows
    engine.dispose()


async def test_a_result_says_more_than_an_interruption_whichever_comes_first(ledger, make, read_rows):
    message = make.message("ABC-1")
    for results_first in (True, False):
        taken = make.taken(message)
        cut = DeployInterrupted(deploy=taken.deploy, server=taken.server, by="x", reason="gone", at=make.clock)
        news = [News(interrupted=[cut]), News(ended=[make.ended(message, taken=taken)])]
        await ledger.write(News(told={message.id: (message, 1)}, taken=[(taken, taken.messages)]))
        for each in reversed(news) if results_first else news:
            await ledger.write(each)
    assert [row["outcome"] for row in read_rows(ledger)["deploys"]] == ["passed", "passed"]


async def test_a_write_that_fails_leaves_nothing_behind_and_says_what_to_do(
    settings, ledger, make, read_rows, monkeypatch
):
    monkeypatch.setattr("successes.ledger.BUSY_SECONDS", 0.01)
    hasty = Ledger.open(settings.successes.ledger)
    other = sqlite3.connect(ledger.path, isolation_level=None)
    try:
        other.execute("BEGIN IMMEDIATE")
        message = make.message("ABC-1")
        with pytest.raises(LedgerFault, match=r"cannot be written: database is locked; see that"):
            await hasty.write(News(told={message.id: (message, 1)}))
        other.execute("ROLLBACK")
        assert read_rows(ledger)["messages"] == []
        await hasty.write(News(told={message.id: (message, 1)}))
        assert len(read_rows(ledger)["messages"]) == 1
    finally:
        other.close()
        hasty.close()


async def test_a_full_disk_is_an_error(ledger, make):
    with ledger.reading() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
    event.listen(
        ledger._engine, "checkout", lambda raw, record, proxy: raw.execute(f"PRAGMA max_page_count = {pages}").close()
    )
    told = [make.message(f"ABC-{number}") for number in range(1, 500)]
    with pytest.raises(LedgerFault, match="full"):
        await ledger.write(News(told={message.id: (message, 1) for message in told}))


def test_the_folder_is_made_and_what_is_there_is_kept(settings, make, read_rows):
    message = make.message("ABC-1")
    for _ in range(2):
        opened = Ledger.open(settings.successes.ledger)
        asyncio.run(opened.write(News(told={message.id: (message, 1)})))
        assert [row["id"] for row in read_rows(opened)["messages"]] == [message.id]
        opened.close()


def test_a_ledger_that_cannot_be_opened_is_one_sentence(tmp_path: Path):
    (tmp_path / "text.db").write_text("this is no database at all, " * 100)
    (tmp_path / "folder.db").mkdir()
    for name, what in {
        "text.db": "file is not a database",
        "folder.db": "unable to open database file",
        "text.db/usher.db": "File exists|Not a directory",
    }.items():
        with pytest.raises(ServiceError, match=rf"cannot be opened \(({what})\); .*USHER_SUCCESSES__LEDGER$"):
            Ledger.open(f"sqlite:///{tmp_path}/{name}")


@pytest.mark.parametrize("url", ["sqlite:///:memory:", "sqlite+nothing:///usher.db", "sqlite+aiosqlite:///usher.db"])
def test_a_ledger_that_is_no_file_is_refused(url):
    with pytest.raises(ServiceError, match="write it like sqlite:///usher.db"):
        Ledger.open(url)
