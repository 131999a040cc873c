"""What is old leaves the ledger: ended deploys, and messages in a last state. What may still be acted on stays."""

import asyncio
import logging
from datetime import timedelta
from functools import partial

from sqlalchemy import Column, Connection, Select, Table, delete, select

from successes.ledger.ledger import Ledger, LedgerFault
from successes.ledger.schema import covers, deploys, messages
from usher.core.states import TERMINAL
from usher.runtime.clock import Clock
from usher.runtime.tasks import until_first

log = logging.getLogger(__name__)

EVERY = timedelta(hours=1)
MOST = 500
"""Rows that one transaction deletes: others want to write meanwhile."""


def forget(connection: Connection, before: int, most: int) -> int:
    """Delete what has ended before that time (ms), at most so many messages and so many deploys, with what the deploys
    covered. Returns how many it were: none once nothing is left to forget."""
    # what has ended before was also told before, and there is an index of that
    old_messages = select(messages.c.id).where(
        messages.c.state.in_(sorted(TERMINAL)), messages.c.queued_at < before, messages.c.changed_at < before
    )
    old_deploys = select(deploys.c.id).where(
        deploys.c.outcome.is_not(None), deploys.c.began_at < before, deploys.c.ended_at < before
    )
    return _drop(connection, messages, old_messages, covers.c.message, most) + _drop(
        connection, deploys, old_deploys, covers.c.deploy, most
    )


async def forget_all(ledger: Ledger, before: int) -> int:
    """Forget all that has ended before that time (ms), in small transactions. Returns how many messages and deploys it
    were. Raises LedgerFault."""
    gone = 0
    while some := await ledger.change(partial(forget, before=before, most=MOST)):
        gone += some
    return gone


async def keep_small(ledger: Ledger, keep: timedelta, clock: Clock, stop: asyncio.Event) -> None:
    """Forget, now and every hour, what has ended longer ago than that, until `stop` is set."""
    span = keep // timedelta(milliseconds=1)
    while not stop.is_set():
        try:
            if gone := await forget_all(ledger, clock.now() - span):
                log.info("forgot %d messages and deploys that had ended more than %d days ago", gone, keep.days)
        except LedgerFault as fault:
            log.warning("%s; what is old stays for another hour", fault)
        await until_first(stop.wait(), clock.sleep(EVERY.total_seconds()))


def _drop(connection: Connection, table: Table, old: Select[tuple[str]], covered: Column[str], most: int) -> int:
    ids = connection.execute(old.limit(most)).scalars().all()
    if ids:
        connection.execute(delete(covers).where(covered.in_(ids)))
        connection.execute(delete(table).where(table.c.id.in_(ids)))
    return len(ids)
