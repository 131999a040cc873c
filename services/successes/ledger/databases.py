"""The two databases that a ledger may be in, SQLite and PostgreSQL, and what differs between them.

In both, one transaction writes at a time: whoever wants to write takes the write lock first. So two replicas never lock
each other out, and nothing that is read in a write changes before its end.
"""

from dataclasses import dataclass
from pathlib import Path
from sqlite3 import Connection as SqliteConnection

from pydantic import SecretStr
from sqlalchemy import Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.engine import URL
from sqlalchemy.exc import ArgumentError, DBAPIError

from usher.core.errors import ServiceError

BUSY_SECONDS = 5.0
"""How long a writer waits for the write lock."""

_HOW = 'write it like "sqlite:///usher.db" or "postgresql://user:password@host/database"'
_WRITERS = 0x7573686572
"""The advisory lock of PostgreSQL's that every writer takes."""

_AGAIN = {"40001", "40P01"}
"""Serialization failure, deadlock."""


@dataclass(frozen=True, slots=True)
class Database:
    """Where a ledger is. `name` is its address without secrets; `opens` and `works` say what must be so for that."""

    name: str
    engine: Engine
    opens: str
    works: str

    def make_folder(self) -> None:
        """The folder of a file. Raises OSError."""
        if self.engine.dialect.name == "sqlite":
            Path(self.name).parent.mkdir(parents=True, exist_ok=True)


def database(url: SecretStr) -> Database:
    """The database at that address; nothing is opened yet. Raises ServiceError, which never shows a password."""
    try:
        parsed = make_url(url.get_secret_value())
    except (ArgumentError, ValueError):
        raise ServiceError(why=f"[successes] ledger is no address; {_HOW}") from None
    if parsed.drivername in ("sqlite", "sqlite+pysqlite"):
        return _sqlite(parsed)
    if parsed.drivername in ("postgresql", "postgresql+psycopg"):
        return _postgresql(parsed)
    raise ServiceError(why=f"[successes] ledger is in a file of SQLite's or in PostgreSQL; {_HOW}")


def lock(connection: Connection, *, idle: bool = False) -> None:
    """Begin to write: take the write lock, held until the transaction ends. Raises DBAPIError after BUSY_SECONDS.

    A transaction that does nothing for a minute is ended by PostgreSQL, unless it may be `idle`.
    """
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        return
    connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _WRITERS})
    if idle:
        connection.execute(text("SET LOCAL idle_in_transaction_session_timeout = 0"))


def is_passing(fault: DBAPIError) -> bool:
    """Whether the same transaction may succeed when tried again at once: the connection is lost, or it was in the way
    of another one."""
    return fault.connection_invalidated or getattr(fault.orig, "sqlstate", None) in _AGAIN


def why(error: DBAPIError | OSError) -> str:
    """The database's own words, in one line."""
    if isinstance(error, DBAPIError):
        return str(error.orig).partition("\n")[0]
    return error.strerror or str(error)


def _sqlite(url: URL) -> Database:
    if url.database in (None, ":memory:") or url.query:
        raise ServiceError(why=f"[successes] ledger must be a file of SQLite's; {_HOW}")
    # a reader that finds no connection in the pool opens one, it never waits
    engine = create_engine(url, max_overflow=-1, connect_args={"timeout": BUSY_SECONDS})
    event.listen(engine, "connect", _prepare)
    return Database(
        str(url.database), engine, "its folder can be written", "its disk has room and that no other program locks it"
    )


def _postgresql(url: URL) -> Database:
    if not url.host or not url.database:
        raise ServiceError(why=f"[successes] ledger names no host or no database; {_HOW}")
    place = f"{url.host}:{url.port}" if url.port else url.host
    millis = int(BUSY_SECONDS * 1000)
    engine = create_engine(
        url.set(drivername="postgresql+psycopg"),
        max_overflow=-1,
        pool_pre_ping=True,
        connect_args={
            "application_name": "usher successes",
            # also where the database was made without an encoding
            "client_encoding": "utf8",
            "connect_timeout": int(BUSY_SECONDS),
            # a line that has gone silent is given up, here and there: a process that is gone must not keep the lock
            "keepalives_idle": 10,
            "keepalives_interval": 5,
            "keepalives_count": 3,
            "tcp_user_timeout": 20_000,
            "options": f"-c lock_timeout={millis} -c idle_in_transaction_session_timeout=60000",
        },
    )
    return Database(
        f"postgresql://{place}/{url.database}",
        engine,
        "PostgreSQL answers there and lets that user make tables",
        "PostgreSQL answers there and its disk has room",
    )


def _prepare(connection: SqliteConnection, _record: object) -> None:
    connection.execute("PRAGMA journal_mode = WAL")
    # a result is acked once it is written, so it has to be on the disk
    connection.execute("PRAGMA synchronous = FULL")
