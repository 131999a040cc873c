"""The ledger: no message goes back to an earlier state, whatever is written, twice and in any order."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as rules
from hypothesis import strategies as st
from pydantic import SecretStr
from sqlalchemy import event, select
from yarl import URL

from successes.ledger import writes
from successes.ledger.ledger import Ledger, LedgerFault
from successes.ledger.queries import PageRequest, find_messages
from successes.ledger.retention import forget_all
from successes.ledger.schema import messages
from successes.ledger.writes import Moved, News
from usher.core.errors import ServiceError
from usher.core.events import DeployInterrupted, Outcome
from usher.core.states import BEFORE, State

POSTGRESQL = pytest.param("postgres_url", id="postgresql", marks=[pytest.mark.slow, pytest.mark.programs])


def every_news(make):
    """All kinds of news about three messages, two of them of the same issue, and their two deploys."""
    sent = [make.message(key) for key in ("ABC-1", "ABC-1", "ABC-2")]
    news = [News(received={m.id: (m, times)}) for m in sent for times in (1, 2)]
    news.append(News(moved={m.id: Moved(State.WAITING, None, make.clock) for m in sent}))
    for taken in (make.taken(*sent), make.taken(*sent)):
        deploying = Moved(State.DEPLOYING, taken.deploy, taken.taken_at)
        facts = {"deploy": taken.deploy, "server": taken.server, "reason": "it failed"}
        news += [
            News(taken=[(taken, taken.messages)], moved=dict.fromkeys(taken.messages, deploying)),
            News(interrupted=[DeployInterrupted(**facts, by="x", at=make.clock)]),
            News(moved={m.id: Moved(State.FAILED, taken.deploy, make.clock) for m in sent}),
            News(moved={m.id: Moved(State.PARKED, taken.deploy, None) for m in sent}),
        ]
        for some in (sent, sent[:1]):
            for outcome in (Outcome.PASSED, Outcome.FAILED):
                news.append(News(ended=[make.ended(*some, taken=taken, outcome=outcome)]))
    return news


KINDS_OF_NEWS = 23


@rules(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=100)
@given(order=st.lists(st.integers(0, KINDS_OF_NEWS - 1), max_size=40))
def test_no_order_of_writes_takes_a_state_back_and_a_repeated_write_changes_nothing(ledger, make, order):
    news = every_news(make)
    assert len(news) == KINDS_OF_NEWS
    with ledger.reading() as connection:
        before = {}
        for number in order:
            writes.write(connection, news[number])
            now = {row.id: State(row.state) for row in connection.execute(select(messages))}
            for message, state in before.items():
                assert now[message] == state or state in BEFORE[now[message]]
            before = now
        rows = connection.execute(select(messages).order_by(messages.c.id)).all()
        if order:
            writes.write(connection, news[order[-1]])
        assert connection.execute(select(messages).order_by(messages.c.id)).all() == rows
        connection.rollback()


async def test_a_result_prevails_over_an_interruption_whichever_comes_first(ledger, make, read_rows):
    message = make.message("ABC-1")
    for results_first in (True, False):
        taken = make.taken(message)
        interrupted = DeployInterrupted(deploy=taken.deploy, server=taken.server, by="x", reason="gone", at=make.clock)
        news = [News(interrupted=[interrupted]), News(ended=[make.ended(message, taken=taken)])]
        await ledger.write(News(received={message.id: (message, 1)}, taken=[(taken, taken.messages)]))
        for each in reversed(news) if results_first else news:
            await ledger.write(each)
    assert [row["outcome"] for row in read_rows(ledger)["deploys"]] == ["passed", "passed"]


@pytest.mark.parametrize("seen", [True, False])
async def test_only_the_holder_of_an_interrupted_deploy_knows_when_it_ended(ledger, make, read_rows, seen):
    message = make.message("ABC-111")
    taken = make.taken(message)
    facts = {"deploy": taken.deploy, "server": taken.server, "reason": "gone", "at": taken.taken_at + 81_000}
    interrupted = DeployInterrupted(**facts, by=taken.holder if seen else "deploys@there:2")
    taking = (taken, (message.id,))
    await ledger.write(News(received={message.id: (message, 1)}, taken=[taking], interrupted=[interrupted]))
    (deploy,) = read_rows(ledger)["deploys"]
    assert deploy["outcome"] == "interrupted"
    assert deploy["ended_at"] == (interrupted.at if seen else None)
    assert await forget_all(ledger, interrupted.at + 1) == 1, "it is deleted as any other"


async def test_a_write_that_fails_leaves_nothing_behind_and_says_what_to_do(
    settings, ledger, make, read_rows, monkeypatch
):
    monkeypatch.setattr("successes.ledger.databases.BUSY_SECONDS", 0.01)
    hasty = Ledger.open(settings.successes.ledger)
    message = make.message("ABC-1")
    try:
        with (
            ledger.writing(),
            pytest.raises(LedgerFault, match=r"cannot be written: .*lock.*; see that .* disk has room"),
        ):
            await hasty.write(News(received={message.id: (message, 1)}))
        assert read_rows(ledger)["messages"] == []
        await hasty.write(News(received={message.id: (message, 1)}))
        assert len(read_rows(ledger)["messages"]) == 1
    finally:
        hasty.close()


async def test_text_that_postgresql_would_refuse_is_stored_the_same_way_in_both_databases(ledger, make, read_rows):
    message = replace(make.message("ABC-1"), server="s" * 5000, status="be\0ta")
    ended = make.ended(message, output="a\0b", reason="no such file: \0", log="/logs/\0", command=("deploy", "\0"))
    await ledger.write(News(ended=[ended]))
    found = read_rows(ledger)
    assert (found["messages"][0]["status"], len(found["messages"][0]["server"])) == ("be\ufffdta", 300)
    kept = {name: found["deploys"][0][name] for name in ("output", "reason", "log", "command")}
    assert kept == {
        "output": "a\ufffdb",
        "reason": "no such file: \ufffd",
        "log": "/logs/\ufffd",
        "command": ["deploy", "\0"],
    }
    with ledger.reading() as connection:
        assert find_messages(connection, {"server": "\0"}, PageRequest(1, 1)).total == 0
        assert find_messages(connection, {"status": "be\0ta"}, PageRequest(1, 1)).total == 1


async def test_two_replicas_can_write_the_same_news_at_the_same_time(settings, make, read_rows):
    sent = [make.message(f"ABC-{number}") for number in range(1, 200)]
    taken = make.taken(*sent)
    deploying = Moved(State.DEPLOYING, taken.deploy, taken.taken_at)
    first, second = (Ledger.open(settings.successes.ledger) for _ in range(2))
    news = News(
        received={m.id: (m, 1) for m in sent},
        taken=[(taken, taken.messages)],
        moved=dict.fromkeys(taken.messages, deploying),
        ended=[make.ended(*sent, taken=taken)],
    )
    backwards = replace(news, received=dict(reversed(news.received.items())), moved=dict(reversed(news.moved.items())))
    try:
        await asyncio.gather(
            *(ledger.write(each) for _ in range(5) for ledger, each in ((first, news), (second, backwards)))
        )
        assert {row["state"] for row in read_rows(first)["messages"]} == {"deployed"}
        assert read_rows(first) == read_rows(second)
    finally:
        first.close()
        second.close()


async def test_a_retry_is_another_attempt_of_the_same_move_with_a_due_time_and_who_ordered_it(ledger, make, read_rows):
    message = make.message("ABC-1")
    failed = make.ended(message, outcome=Outcome.FAILED)
    again = message.again(make.clock + 60_000)
    ordered = {
        message.id: Moved(State.RETRIED, failed.deploy, make.clock + 1, "ann"),
        again.id: Moved(State.RETRYING, None, make.clock + 1, "ann"),
    }
    for _ in range(2):
        await ledger.write(News(ended=[failed], retrying={again.id: again}, moved=ordered))
    first, second = sorted(read_rows(ledger)["messages"], key=lambda row: row["attempt"])
    assert (first["state"], first["deploy"], first["by"], first["changed_at"]) == (
        "retried",
        failed.deploy,
        "ann",
        make.clock + 1,
    )
    assert (second["state"], second["due_at"], second["by"], second["attempt"]) == (
        "retrying",
        make.clock + 60_000,
        "ann",
        2,
    )
    assert first["origin"] == second["origin"] == message.id
    await ledger.write(News(moved={again.id: Moved(State.WITHDRAWN, None, make.clock + 2, "bob")}))
    await ledger.write(
        News(received={again.id: (again, 1)}, moved={again.id: Moved(State.WAITING, None, make.clock + 3)})
    )
    row = next(row for row in read_rows(ledger)["messages"] if row["id"] == again.id)
    assert (row["state"], row["by"], row["changed_at"]) == ("withdrawn", "bob", make.clock + 2)


@pytest.mark.parametrize("ledger_url", ["sqlite_url"], indirect=True)
async def test_a_full_disk_is_an_error(ledger, make):
    with ledger.reading() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
    event.listen(
        ledger._at.engine,
        "checkout",
        lambda raw, record, proxy: raw.execute(f"PRAGMA max_page_count = {pages}").close(),
    )
    sent = [make.message(f"ABC-{number}") for number in range(1, 500)]
    with pytest.raises(LedgerFault, match="full"):
        await ledger.write(News(received={message.id: (message, 1) for message in sent}))


def test_the_folder_is_created_and_existing_rows_are_kept(settings, make, read_rows):
    message = make.message("ABC-1")
    for _ in range(2):
        opened = Ledger.open(settings.successes.ledger)
        asyncio.run(opened.write(News(received={message.id: (message, 1)})))
        assert [row["id"] for row in read_rows(opened)["messages"]] == [message.id]
        opened.close()


@pytest.mark.parametrize(("before", "after"), [(None, 0o600), (0o644, 0o600), (0o640, 0o640)])
def test_others_cannot_read_the_ledger_s_files_but_a_group_of_its_owner_s_can(tmp_path: Path, before, after):
    path = tmp_path / "usher.db"
    if before:
        path.touch()
        path.chmod(before)
    opened = Ledger.open(SecretStr(f"sqlite:///{path}"))
    try:
        modes = {file.name: file.stat().st_mode & 0o777 for file in tmp_path.iterdir()}
    finally:
        opened.close()
    assert modes == {"usher.db": after, "usher.db-wal": after, "usher.db-shm": after}


def test_a_ledger_that_cannot_be_opened_is_reported_in_one_sentence(tmp_path: Path):
    (tmp_path / "text.db").write_text("this is not a database, " * 100)
    (tmp_path / "folder.db").mkdir()
    for name, what in {
        "text.db": "file is not a database",
        "folder.db": "Is a directory",
        "text.db/usher.db": "File exists|Not a directory",
    }.items():
        with pytest.raises(ServiceError, match=rf"cannot be opened \(({what})\); .*USHER_SUCCESSES__LEDGER$"):
            Ledger.open(SecretStr(f"sqlite:///{tmp_path}/{name}"))


@pytest.mark.parametrize(
    "url",
    [
        "sqlite:///:memory:",
        "sqlite+nothing:///usher.db",
        "sqlite+aiosqlite:///usher.db",
        "mysql://me:secret@host/usher",
        "postgresql://me:secret@host:port/usher",
        "postgresql://me:secret@host",
        "nothing:secret",
    ],
)
def test_an_invalid_address_is_refused_without_showing_its_password(url):
    with pytest.raises(ServiceError, match='write it like "sqlite:///usher.db" or "postgresql://user') as refused:
        Ledger.open(SecretStr(url))
    assert "secret" not in str(refused.value)


@pytest.mark.slow
@pytest.mark.programs
def test_a_postgresql_that_refuses_the_login_is_reported_in_one_sentence_without_the_password(postgres):
    url = URL(postgres)
    for wrong, what in {
        url.with_password("secret") / "postgres": "password authentication failed",
        url / "nowhere": 'database "nowhere" does not exist',
        url.with_port(1) / "postgres": "[Cc]onnection refused",
    }.items():
        with pytest.raises(
            ServiceError, match=rf"ledger postgresql://\S+ cannot be opened \(.*{what}.*\); see"
        ) as fault:
            Ledger.open(SecretStr(str(wrong)))
        assert "secret" not in str(fault.value)
        assert str(url.password) not in str(fault.value)
        assert "\n" not in str(fault.value)


@pytest.mark.parametrize("ledger_url", [POSTGRESQL], indirect=True)
async def test_a_write_is_repeated_when_its_database_connection_is_lost(ledger, make, read_rows):
    message = make.message("ABC-1")
    tries = []

    def disconnect(connection):
        writes.write(connection, News(received={message.id: (message, 1)}))
        tries.append(True)
        if len(tries) == 1:
            connection.exec_driver_sql("SELECT pg_terminate_backend(pg_backend_pid())")

    await ledger.change(disconnect)
    assert (len(tries), len(read_rows(ledger)["messages"])) == (2, 1)


@pytest.mark.parametrize("ledger_url", [POSTGRESQL], indirect=True)
@pytest.mark.parametrize("state", ["40001", "40P01", "22012"])
async def test_only_a_transient_error_is_retried_and_the_third_one_is_a_fault(ledger, monkeypatch, state):
    monkeypatch.setattr("successes.ledger.ledger.PAUSE", 0.001)
    tries = []

    def fail(connection):
        tries.append(True)
        connection.exec_driver_sql(f"DO $$ BEGIN RAISE EXCEPTION 'a conflict' USING ERRCODE = '{state}'; END $$")

    with pytest.raises(LedgerFault, match="cannot be written: a conflict; see that PostgreSQL answers there"):
        await ledger.change(fail)
    assert len(tries) == (1 if state == "22012" else 3)
