"""The two databases that can hold a ledger, SQLite and PostgreSQL, and the differences between them.

In both, one transaction writes at a time, because every writer takes the write lock first. Two replicas therefore never
deadlock, and the rows that a writer has read do not change before it commits.
"""

from dataclasses import dataclass
from pathlib import Path
from sqlite3 import Connection as SqliteConnection

from pydantic import SecretStr
from sqlalchemy import Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.engine import URL
from sqlalchemy.exc import ArgumentError, DBAPIError

from usher.core.errors import ServiceError
from usher.runtime.addresses import join
from usher.runtime.private import close_to_others, private_file

BUSY_SECONDS = 5.0
"""How long a writer waits for the write lock."""

_HOW = 'write it like "sqlite:///usher.db" or "postgresql://user:password@host/database"'
_WRITERS = 0x7573686572
"""The PostgreSQL advisory lock that every writer takes."""

_BESIDE = ("-wal", "-shm")
"""What SQLite appends to the names of the files beside a database."""

_TRANSIENT = {"40001", "40P01"}
"""SQLSTATE codes: serialization failure, deadlock."""


@dataclass(frozen=True, slots=True)
class Database:
    """A ledger's database. `name` is its address without secrets.

    `opens` and `works` complete the advice "see that …" when it cannot be opened, or cannot be used later.
    """

    name: str
    engine: Engine
    opens: str
    works: str

    def prepare_file(self) -> None:
        """Create an SQLite file and its folder, if they are missing. Others cannot read the file. Raises OSError."""
        if self.engine.dialect.name == "sqlite":
            path = Path(self.name)
            path.parent.mkdir(parents=True, exist_ok=True)
            private_file(path)
            # SQLite gives new files beside it the same mode
            for file in (path, *(path.with_name(path.name + suffix) for suffix in _BESIDE)):
                close_to_others(file)


def database(url: SecretStr) -> Database:
    """The database at that address, not opened yet. Raises ServiceError, which never shows a password."""
    try:
        parsed = make_url(url.get_secret_value())
    except (ArgumentError, ValueError):
        raise ServiceError(why=f"[successes] ledger is not a valid address; {_HOW}") from None
    if parsed.drivername in ("sqlite", "sqlite+pysqlite"):
        return _sqlite(parsed)
    if parsed.drivername in ("postgresql", "postgresql+psycopg"):
        return _postgresql(parsed)
    raise ServiceError(why=f"[successes] ledger must be an SQLite file or a PostgreSQL database; {_HOW}")


def lock(connection: Connection, *, idle: bool = False) -> None:
    """Take the write lock, which is held until the transaction ends. Raises DBAPIError after BUSY_SECONDS.

    PostgreSQL ends a transaction that has been idle for a minute, unless `idle` allows it.
    """
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        return
    connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _WRITERS})
    if idle:
        connection.execute(text("SET LOCAL idle_in_transaction_session_timeout = 0"))


def is_transient(fault: DBAPIError) -> bool:
    """Whether the same transaction may succeed if it is retried now: it lost its connection, or conflicted with
    another transaction."""
    return fault.connection_invalidated or getattr(fault.orig, "sqlstate", None) in _TRANSIENT


def why(error: DBAPIError | OSError) -> str:
    """The database's own error message, in one line."""
    if isinstance(error, DBAPIError):
        return str(error.orig).partition("\n")[0]
    return error.strerror or str(error)


def _sqlite(url: URL) -> Database:
    if url.database in (None, ":memory:") or url.query:
        raise ServiceError(why=f"[successes] ledger must be an SQLite file; {_HOW}")
    # a reader that finds no free connection in the pool opens a new one instead of waiting
    engine = create_engine(url, max_overflow=-1, connect_args={"timeout": BUSY_SECONDS})
    event.listen(engine, "connect", _prepare)
    return Database(
        str(url.database), engine, "its folder is writable", "its disk has room and that no other program locks it"
    )


def _postgresql(url: URL) -> Database:
    if not url.host or not url.database:
        raise ServiceError(why=f"[successes] ledger has no host or no database; {_HOW}")
    place = join(url.host or "", url.port) if url.port else url.host
    millis = int(BUSY_SECONDS * 1000)
    engine = create_engine(
        url.set(drivername="postgresql+psycopg"),
        max_overflow=-1,
        pool_pre_ping=True,
        connect_args={
            "application_name": "usher successes",
            # needed if the database was created without an encoding
            "client_encoding": "utf8",
            "connect_timeout": int(BUSY_SECONDS),
            # both ends give up a silent connection: a dead process must not keep the lock
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
        "PostgreSQL answers there and that user may create tables",
        "PostgreSQL answers there and its disk has room",
    )


def _prepare(connection: SqliteConnection, _record: object) -> None:
    connection.execute("PRAGMA journal_mode = WAL")
    # a result is acked once it is written, so by then it must be on disk
    connection.execute("PRAGMA synchronous = FULL")
