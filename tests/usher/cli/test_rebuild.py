"""`usher rebuild`: rebuilding the ledger from the command line."""

import sqlite3
import subprocess
import sys
import time
from contextlib import closing

import pytest

from usher.cli import rebuild
from usher.settings import load


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command as a program."""
    argv = [sys.executable, "-m", "usher", *arguments]
    return subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.slow
def test_it_restores_lost_rows_while_usher_runs(running: None) -> None:
    assert run("send", "ABC-111", "beta").returncode == 0
    ledger = load().successes.ledger.get_secret_value().removeprefix("sqlite:///")
    with closing(sqlite3.connect(ledger, isolation_level=None)) as database:
        deadline = time.monotonic() + 20
        while not database.execute("DELETE FROM messages").rowcount:
            assert time.monotonic() < deadline, "the message did not reach the ledger"
            time.sleep(0.05)
        result = run("rebuild")
        assert result.returncode == 0, result.stderr
        assert "the ledger has 1 messages" in result.stderr
        assert database.execute("SELECT issue FROM messages").fetchall() == [("ABC-111",)]


def test_without_the_successes_package_it_says_where_to_run_it(usher, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rebuild, "PACKAGE", "not_there")
    result = usher("rebuild")
    assert (result.code, result.err) == (
        1,
        "usher: the service successes is not installed here; run `usher rebuild` where it runs\n",
    )


@pytest.mark.slow
def test_an_unreachable_broker_is_a_readable_error(folder, monkeypatch) -> None:
    monkeypatch.setenv("USHER_BROKER__URL", "amqp://guest:guest@127.0.0.1:1/")
    result = run("rebuild")
    assert result.returncode == 1
    assert "successes.ledger.rebuild: " in result.stderr
    assert "Traceback" not in result.stderr
