"""Deletes old rows of the ledger: ended deploys, messages in a terminal state, and ignored moves.

Everything else is kept.
"""

import asyncio
import logging
from datetime import timedelta
from functools import partial

from sqlalchemy import Column, Connection, Select, Table, delete, func, select

from successes.ledger.ledger import Ledger, LedgerFault
from successes.ledger.schema import covers, deploys, ignored, messages
from usher.core.states import TERMINAL
from usher.runtime.clock import Clock
from usher.runtime.tasks import until_first

log = logging.getLogger(__name__)

EVERY = timedelta(hours=1)
MAX_ROWS = 500
"""Messages, and deploys, that one transaction deletes, so that other writers need not wait long."""


def forget(connection: Connection, before: int, limit: int) -> int:
    """Delete messages and deploys that ended before that time (ms), the rows of `covers` that name them, and moves that
    were ignored before that time.

    At most `limit` of each are deleted. Returns how many were deleted: 0 when none are left.
    """
    # what ended before that time was also received before it, and that column has an index
    old_messages = select(messages.c.id).where(
        messages.c.state.in_(sorted(TERMINAL)), messages.c.queued_at < before, messages.c.changed_at < before
    )
    old_deploys = select(deploys.c.id).where(
        deploys.c.outcome.is_not(None),
        deploys.c.began_at < before,
        func.coalesce(deploys.c.ended_at, deploys.c.began_at) < before,
    )
    old_ignored = select(ignored.c.id).where(ignored.c.at < before)
    return (
        _delete(connection, messages, old_messages, limit, covers.c.message)
        + _delete(connection, deploys, old_deploys, limit, covers.c.deploy)
        + _delete(connection, ignored, old_ignored, limit)
    )


async def forget_all(ledger: Ledger, before: int) -> int:
    """The same, until nothing is left to delete, in small transactions.

    Returns how many were deleted. Raises LedgerFault.
    """
    total = 0
    while count := await ledger.change(partial(forget, before=before, limit=MAX_ROWS)):
        total += count
    return total


async def keep_small(ledger: Ledger, keep: timedelta, clock: Clock, stop: asyncio.Event) -> None:
    """Now and every hour, delete what ended longer ago than `keep`, until `stop` is set."""
    span = keep // timedelta(milliseconds=1)
    while not stop.is_set():
        try:
            if count := await forget_all(ledger, clock.now() - span):
                log.info("deleted %d messages, deploys and ignored moves older than %d days", count, keep.days)
        except LedgerFault as fault:
            log.warning("%s; old rows are kept for another hour", fault)
        await until_first(stop.wait(), clock.sleep(EVERY.total_seconds()))


def _delete(
    connection: Connection, table: Table, old: Select[tuple[str]], limit: int, covered: Column[str] | None = None
) -> int:
    ids = connection.execute(old.limit(limit)).scalars().all()
    if ids:
        if covered is not None:
            connection.execute(delete(covers).where(covered.in_(ids)))
        connection.execute(delete(table).where(table.c.id.in_(ids)))
    return len(ids)
