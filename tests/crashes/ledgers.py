"""The real ledger, over SQLite, at little cost: one migrated database per worker, emptied before each run."""

import os
import sqlite3
import tempfile
from pathlib import Path

from pydantic import SecretStr
from sqlalchemy import event
from sqlalchemy.exc import OperationalError

from successes.ledger.databases import database
from successes.ledger.ledger import Ledger
from successes.ledger.schema import covers, deploys, journal, messages

SHARED_MEMORY = Path("/dev/shm")


class Disk:
    """What a ledger is on. While it is `full`, no transaction begins. Every replica's ledger is the same database."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(
            prefix="usher-", dir=SHARED_MEMORY if SHARED_MEMORY.exists() else None
        )
        self.url = SecretStr(f"sqlite:///{Path(self._folder.name, 'usher.db')}")
        self.full = False
        self.made_by = os.getpid()
        Ledger.open(self.url).close()
        self._at = database(self.url)
        event.listen(self._at.engine, "connect", _at_once)
        event.listen(self._at.engine, "before_cursor_execute", self._check)

    def open(self) -> Ledger:
        """A process's own; there is nothing to close."""
        return Ledger(self._at)

    def erase(self) -> None:
        """As new."""
        self.full = False
        with self._at.engine.begin() as connection:
            for table in (covers, deploys, messages, journal):
                connection.execute(table.delete())

    def close(self) -> None:
        self._at.engine.dispose()
        self._folder.cleanup()

    def _check(self, *_: object) -> None:
        if self.full:
            raise OperationalError("BEGIN", None, sqlite3.OperationalError("database or disk is full"))


def _at_once(connection: sqlite3.Connection, _: object) -> None:
    # nothing of this machine fails in a run: what is written is written
    connection.execute("PRAGMA synchronous = OFF")
