"""The real ledger on SQLite, made cheap: one migrated database per worker, emptied before each run."""

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
    """The disk with the ledger, which all replicas share. While it is `full`, no transaction can begin."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(
            prefix="usher-", dir=SHARED_MEMORY if SHARED_MEMORY.exists() else None
        )
        self.url = SecretStr(f"sqlite:///{Path(self._folder.name, 'usher.db')}")
        self.full = False
        self.made_by = os.getpid()
        Ledger.open(self.url).close()
        self._at = database(self.url)
        event.listen(self._at.engine, "connect", _skip_fsync)
        event.listen(self._at.engine, "before_cursor_execute", self._check)

    def open(self) -> Ledger:
        """A ledger for one process. It need not be closed."""
        return Ledger(self._at)

    def erase(self) -> None:
        """Empty the database."""
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


def _skip_fsync(connection: sqlite3.Connection, _: object) -> None:
    # the real machine does not fail during a run
    connection.execute("PRAGMA synchronous = OFF")
