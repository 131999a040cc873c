"""Migrations: an older ledger is migrated with its rows, and a newer one is left alone."""

import asyncio
import sqlite3
import sys
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from pydantic import SecretStr

from successes.ledger.ledger import Ledger
from successes.ledger.queries import PageRequest, find_deploys, find_messages, find_output
from successes.ledger.schema import metadata
from successes.ledger.writes import News
from usher.core.errors import ServiceError

HEAD = "0004"

OF_0_9_0 = """
CREATE TABLE messages (
    id VARCHAR(32) NOT NULL, issue VARCHAR NOT NULL, project VARCHAR NOT NULL, status VARCHAR NOT NULL,
    server VARCHAR NOT NULL, state VARCHAR NOT NULL, source VARCHAR NOT NULL, attempt INTEGER NOT NULL,
    queued_at BIGINT NOT NULL, moved_at BIGINT, changed_at BIGINT NOT NULL, deploy VARCHAR(12), told INTEGER NOT NULL,
    PRIMARY KEY (id)
);
CREATE INDEX messages_by_state ON messages (state, queued_at);
CREATE INDEX messages_by_project ON messages (project, status, queued_at);
CREATE INDEX messages_by_time ON messages (queued_at, id);
CREATE INDEX messages_by_issue ON messages (issue, queued_at);
CREATE INDEX messages_by_server ON messages (server, state, queued_at);
CREATE TABLE deploys (
    id VARCHAR(12) NOT NULL, server VARCHAR NOT NULL, began_at BIGINT NOT NULL, holder VARCHAR, fence BIGINT,
    taken_at BIGINT, outcome VARCHAR, reason TEXT, exit_code BIGINT, rehearsed BOOLEAN, command JSON,
    started_at BIGINT, ended_at BIGINT, output TEXT, cut BOOLEAN, log VARCHAR,
    PRIMARY KEY (id)
);
CREATE INDEX deploys_by_server ON deploys (server, began_at);
CREATE INDEX deploys_by_outcome ON deploys (outcome, began_at);
CREATE INDEX deploys_by_time ON deploys (began_at, id);
CREATE TABLE covers (
    deploy VARCHAR(12) NOT NULL, message VARCHAR(32) NOT NULL, PRIMARY KEY (deploy, message)
) WITHOUT ROWID;
INSERT INTO messages VALUES
    ('0000000000000000000000000000000a', 'ABC-1', 'abc', 'beta', 'beta.abc.wwts.com', 'deployed', 'jira', 1,
     1790000001000, 1790000000995, 1790000060000, '0123456789ab', 3),
    ('0000000000000000000000000000000b', 'ABC-2', 'abc', 'beta', 'beta.abc.wwts.com', 'waiting', 'api', 1,
     1790000002000, NULL, 1790000002000, NULL, 1);
INSERT INTO deploys VALUES
    ('0123456789ab', 'beta.abc.wwts.com', 1790000050000, 'deploys@here:1', 1790000050000, 1790000050000, 'passed',
     'exit code 0', 0, 0, '["deploy", "beta.abc.wwts.com", "ABC-1"]', 1790000050100, 1790000060000, 'done\n', 0, NULL);
INSERT INTO covers VALUES ('0123456789ab', '0000000000000000000000000000000a');
"""
"""A ledger as version 0.9.0 left it, without a revision number."""

OPEN = "import sys; from pydantic import SecretStr; from successes.ledger.ledger import Ledger; \
Ledger.open(SecretStr(sys.argv[1])).close()"


@pytest.fixture
def old(tmp_path: Path) -> SecretStr:
    """A ledger of version 0.9.0."""
    file = sqlite3.connect(tmp_path / "old.db")
    file.executescript("PRAGMA journal_mode = WAL; BEGIN; " + OF_0_9_0 + "COMMIT;")
    file.close()
    return SecretStr(f"sqlite:///{tmp_path}/old.db")


def differences(ledger: Ledger) -> list[object]:
    with ledger.reading() as connection:
        return list(compare_metadata(MigrationContext.configure(connection), metadata))


def revision(ledger: Ledger) -> str | None:
    with ledger.reading() as connection:
        return MigrationContext.configure(connection).get_current_revision()


def test_the_newest_revision_matches_the_schema(ledger: Ledger) -> None:
    assert (differences(ledger), revision(ledger)) == ([], HEAD)


def test_a_ledger_of_version_0_9_0_is_migrated_and_keeps_its_rows(old, caplog) -> None:
    caplog.set_level("INFO")
    for _ in range(2):
        ledger = Ledger.open(old)
        try:
            assert (differences(ledger), revision(ledger)) == ([], HEAD)
            with ledger.reading() as connection:
                sent = find_messages(connection, {}, PageRequest(1, 10))
                deploy = find_deploys(connection, {}, PageRequest(1, 10), rehearses=True).items[0]
                output = find_output(connection, deploy.id)
                added = connection.exec_driver_sql('SELECT origin = id, due_at, "by" FROM messages').all()
        finally:
            ledger.close()
        assert [(str(m.issue), m.state, m.received) for m in sent.items] == [
            ("ABC-2", "waiting", 1),
            ("ABC-1", "deployed", 3),
        ]
        assert (deploy.outcome, deploy.messages, [str(issue) for issue in deploy.issues]) == ("passed", 1, ["ABC-1"])
        assert output == "done\n"
        assert added == [(1, None, None)] * 2
    assert [entry.getMessage() for entry in caplog.records] == ["the ledger was migrated from revision 0001 to 0004"]


def test_a_ledger_of_a_newer_version_is_refused_in_one_sentence_and_left_unchanged(
    ledger, settings, make, read_rows
) -> None:
    message = make.message("ABC-1")
    asyncio.run(ledger.write(News(received={message.id: (message, 1)})))
    with ledger.writing() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '0099'")
    before = read_rows(ledger)
    with pytest.raises(ServiceError, match=r"cannot be opened \(.*newer version.*0099.*0004.*\); run that version, or"):
        Ledger.open(settings.successes.ledger)
    assert (read_rows(ledger), revision(ledger)) == (before, "0099")


@pytest.mark.programs
async def test_replicas_that_start_at_the_same_time_migrate_it_once(ledger_url, tmp_path) -> None:
    (tmp_path / "ledger.db").unlink(missing_ok=True)  # in SQLite it is migrated already
    starting = [
        await asyncio.create_subprocess_exec(
            sys.executable, "-c", OPEN, ledger_url.get_secret_value(), stderr=asyncio.subprocess.PIPE
        )
        for _ in range(4)
    ]
    errors = [(await each.communicate())[1] for each in starting]
    assert errors == [b""] * 4
    ledger = Ledger.open(ledger_url)
    assert (differences(ledger), revision(ledger)) == ([], HEAD)
    ledger.close()


async def test_a_migration_that_fails_leaves_the_old_ledger(old, monkeypatch) -> None:
    def fail(*_: object) -> None:
        raise OSError("no space")

    monkeypatch.setattr("alembic.op.create_index", fail)
    with pytest.raises(ServiceError, match=r"cannot be opened \(no space\)"):
        Ledger.open(old)
    monkeypatch.undo()
    file = sqlite3.connect(old.get_secret_value().removeprefix("sqlite:///"))
    assert [row[1] for row in file.execute("PRAGMA table_info(messages)")][-1] == "told"
    file.close()
    Ledger.open(old).close()
