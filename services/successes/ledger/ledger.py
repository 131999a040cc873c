"""The ledger: the board's lasting form in a database. One thread writes, in transactions; readers read beside it."""

import asyncio
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import TypeVar

from pydantic import SecretStr
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from successes.ledger import writes
from successes.ledger.databases import Database, database, is_passing, lock, why
from successes.ledger.migrations import NewerLedger, upgrade
from successes.ledger.writes import News
from usher.broker.places import Position
from usher.core.errors import ServiceError

T = TypeVar("T")

TRIES = 3
PAUSE = 0.2
"""Seconds before a transaction is tried again, doubled each time."""


class LedgerFault(ServiceError):
    """the ledger {path} cannot be {done}: {why}; see that {check}"""


class Ledger:
    """An open ledger. Whatever fails is a LedgerFault, and then nothing of that call is in it."""

    def __init__(self, at: Database) -> None:
        self.path = at.name
        self._at = at
        self._writer = ThreadPoolExecutor(1, "ledger")

    @classmethod
    def open(cls, url: SecretStr) -> "Ledger":
        """The ledger at that address (`sqlite:///usher.db`), its folder and tables made if they are not there, and
        brought to this version if they are older.

        Raises ServiceError, which says what to do.
        """
        at = database(url)
        try:
            at.make_folder()
            # a file that can be read but not written is found out now, not with the first result
            with at.engine.begin() as connection:
                lock(connection)
                upgrade(connection)
        except (DBAPIError, OSError, NewerLedger) as error:
            at.engine.dispose()
            raise _unopened(at, error) from None
        return cls(at)

    def close(self) -> None:
        """Wait for the write that runs, then close."""
        self._writer.shutdown()
        self._at.engine.dispose()

    async def write(self, news: News) -> None:
        """Write all of it, in one transaction, on the ledger's own thread. Raises LedgerFault."""
        await self.change(partial(writes.write, news=news))

    async def through(self) -> Position | None:
        """The entry of the journal up to which it has been told everything; None: of nothing. Raises LedgerFault."""
        return await self.change(writes.read_through)

    async def change(self, work: Callable[[Connection], T]) -> T:
        """Do that in a transaction of its own, on the ledger's own thread; it may be done more than once, the last time
        counts. Raises LedgerFault."""
        return await asyncio.get_running_loop().run_in_executor(self._writer, self._tried, work)

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A connection to read with, from any thread. Raises LedgerFault."""
        try:
            with self._at.engine.connect() as connection:
                yield connection
        except DBAPIError as error:
            raise self._fault("read", error) from None

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """A transaction in which nobody else writes, however long it takes, from any thread. Raises LedgerFault."""
        try:
            with self._at.engine.begin() as connection:
                lock(connection, idle=True)
                yield connection
        except DBAPIError as error:
            raise self._fault("written", error) from None

    def _tried(self, work: Callable[[Connection], T]) -> T:
        for tried in range(1, TRIES + 1):
            try:
                with self._at.engine.begin() as connection:
                    lock(connection)
                    return work(connection)
            except DBAPIError as error:
                if tried == TRIES or not is_passing(error):
                    raise self._fault("written", error) from None
                time.sleep(PAUSE * 2**tried)
        raise AssertionError("not reached")

    def _fault(self, done: str, error: DBAPIError) -> LedgerFault:
        return LedgerFault(path=self.path, done=done, why=why(error), check=self._at.works)


def _unopened(at: Database, error: DBAPIError | OSError | NewerLedger) -> ServiceError:
    if isinstance(error, NewerLedger):
        fault, mend = str(error), "run that version"
    else:
        fault, mend = why(error), f"see that {at.opens}"
    return ServiceError(
        why=f"the ledger {at.name} cannot be opened ({fault}); {mend}, or choose another with USHER_SUCCESSES__LEDGER"
    )
