"""The ledger: the board's lasting form in SQLite. One thread writes, in transactions; readers read beside it."""

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from sqlite3 import Connection as SqliteConnection
from typing import TypeVar

from sqlalchemy import Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError

from successes import writes
from successes.schema import metadata
from successes.writes import News
from usher.errors import ServiceError
from usher.events import DeployEnded
from usher.states import State

T = TypeVar("T")

BUSY_SECONDS = 5.0


class LedgerFault(ServiceError):
    """the ledger {path} cannot be {done}: {why}; see that its disk has room and that no other program locks it"""


class Ledger:
    """An open ledger. Whatever fails is a LedgerFault, and then nothing of that call is in it."""

    def __init__(self, engine: Engine, path: str) -> None:
        self.path = path
        self._engine = engine
        self._writer = ThreadPoolExecutor(1, "ledger")

    @classmethod
    def open(cls, url: str) -> "Ledger":
        """The ledger at that address (`sqlite:///usher.db`), its folder and tables made if they are not there.

        Raises ServiceError, which says what to do.
        """
        path, engine = _engine(url)
        try:
            Path(path).parent.mkdir(parents=True, exist_ok=True)
            with engine.begin() as connection:
                metadata.create_all(connection)
            with engine.connect() as connection:
                # a file that can be read but not written is found out now, not with the first result
                connection.exec_driver_sql("BEGIN IMMEDIATE")
        except (DBAPIError, OSError) as error:
            engine.dispose()
            raise ServiceError(
                why=f"the ledger {path} cannot be opened ({_why(error)}); see that its folder can be written, "
                "or choose another file with USHER_SUCCESSES__LEDGER"
            ) from None
        return cls(engine, path)

    def close(self) -> None:
        """Wait for the write that runs, then close."""
        self._writer.shutdown()
        self._engine.dispose()

    async def write(self, news: News) -> None:
        """Write all of it, in one transaction, on the ledger's own thread. Raises LedgerFault."""
        await self._in_thread(partial(writes.write, news=news))

    async def states(self, ended: DeployEnded) -> dict[str, State]:
        """Where the messages that a deploy covered are now. Raises LedgerFault."""
        return await self._in_thread(partial(writes.states, deploy=ended.deploy))

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A connection to read with, from any thread. Raises LedgerFault."""
        try:
            with self._engine.connect() as connection:
                yield connection
        except DBAPIError as error:
            raise LedgerFault(path=self.path, done="read", why=_why(error)) from None

    async def _in_thread(self, work: Callable[[Connection], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._writer, self._transaction, work)

    def _transaction(self, work: Callable[[Connection], T]) -> T:
        try:
            with self._engine.begin() as connection:
                return work(connection)
        except DBAPIError as error:
            raise LedgerFault(path=self.path, done="written", why=_why(error)) from None


def _engine(url: str) -> tuple[str, Engine]:
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise ServiceError(why=f"[successes] ledger: {error}; write it like sqlite:///usher.db") from None
    if parsed.drivername not in ("sqlite", "sqlite+pysqlite") or parsed.database in (None, ":memory:") or parsed.query:
        raise ServiceError(why="[successes] ledger must be a file of SQLite's; write it like sqlite:///usher.db")
    # a reader that finds no connection in the pool opens one, it never waits
    engine = create_engine(parsed, max_overflow=-1, connect_args={"timeout": BUSY_SECONDS})
    event.listen(engine, "connect", _prepare)
    return parsed.database, engine


def _prepare(connection: SqliteConnection, _record: object) -> None:
    connection.execute("PRAGMA journal_mode = WAL")
    # a result is acked once it is written, so it has to be on the disk
    connection.execute("PRAGMA synchronous = FULL")


def _why(error: DBAPIError | OSError) -> str:
    if isinstance(error, DBAPIError):
        return str(error.orig)
    return error.strerror or str(error)
