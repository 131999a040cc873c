"""The ledger: a permanent copy of the board in a database. One thread writes; readers use connections of their own."""

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
from successes.ledger.databases import Database, database, is_transient, lock, why
from successes.ledger.migrations import NewerLedger, upgrade
from successes.ledger.writes import News
from usher.broker.places import Position
from usher.core.errors import ServiceError

T = TypeVar("T")

TRIES = 3
PAUSE = 0.2
"""Seconds before a transaction is retried, doubled each time."""


class LedgerFault(ServiceError):
    """the ledger {path} cannot be {done}: {why}; see that {check}"""


class Ledger:
    """An open ledger. A call that fails raises LedgerFault, and has written nothing."""

    def __init__(self, at: Database) -> None:
        self.path = at.name
        self._at = at
        self._writer = ThreadPoolExecutor(1, "ledger")

    @classmethod
    def open(cls, url: SecretStr) -> "Ledger":
        """Open the ledger at that address (`sqlite:///usher.db`). Its folder and tables are created if they are
        missing, and older tables are migrated to this version.

        Raises ServiceError, which says what to do.
        """
        at = database(url)
        try:
            at.prepare_file()
            # a file that cannot be written fails here, not when the first result arrives
            with at.engine.begin() as connection:
                lock(connection)
                upgrade(connection)
        except (DBAPIError, OSError, NewerLedger) as error:
            at.engine.dispose()
            raise _cannot_open(at, error) from None
        return cls(at)

    def close(self) -> None:
        """Wait for the running write, then close."""
        self._writer.shutdown()
        self._at.engine.dispose()

    async def write(self, news: News) -> None:
        """Write all of it in one transaction, on the ledger's thread. Raises LedgerFault."""
        await self.change(partial(writes.write, news=news))

    async def through(self) -> Position | None:
        """The journal entry up to which the ledger is complete; None if it has nothing yet. Raises LedgerFault."""
        return await self.change(writes.read_through)

    async def change(self, work: Callable[[Connection], T]) -> T:
        """Run `work` in its own transaction, on the ledger's thread. A failed try is rolled back and may be repeated.
        Raises LedgerFault."""
        return await asyncio.get_running_loop().run_in_executor(self._writer, self._try, work)

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A connection for reading, usable from any thread. Raises LedgerFault."""
        try:
            with self._at.engine.connect() as connection:
                yield connection
        except DBAPIError as error:
            raise self._fault("read", error) from None

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """A transaction of any length that keeps other writers out, usable from any thread. Raises LedgerFault."""
        try:
            with self._at.engine.begin() as connection:
                lock(connection, idle=True)
                yield connection
        except DBAPIError as error:
            raise self._fault("written", error) from None

    def _try(self, work: Callable[[Connection], T]) -> T:
        for attempt in range(1, TRIES + 1):
            try:
                with self._at.engine.begin() as connection:
                    lock(connection)
                    return work(connection)
            except DBAPIError as error:
                if attempt == TRIES or not is_transient(error):
                    raise self._fault("written", error) from None
                time.sleep(PAUSE * 2**attempt)
        raise AssertionError("not reached")

    def _fault(self, done: str, error: DBAPIError) -> LedgerFault:
        return LedgerFault(path=self.path, done=done, why=why(error), check=self._at.works)


def _cannot_open(at: Database, error: DBAPIError | OSError | NewerLedger) -> ServiceError:
    if isinstance(error, NewerLedger):
        fault, advice = str(error), "run that version"
    else:
        fault, advice = why(error), f"see that {at.opens}"
    return ServiceError(
        why=f"the ledger {at.name} cannot be opened ({fault}); {advice}, or choose another with USHER_SUCCESSES__LEDGER"
    )
