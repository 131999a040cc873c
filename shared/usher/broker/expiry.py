"""Ends holds whose time has passed. Every reader of the journal may do this: doing it twice changes nothing."""

import logging

from usher.broker.changes import HOLDS
from usher.broker.journal import Journal
from usher.core.errors import BrokerError, NotConfirmed
from usher.core.orders import HoldExpired
from usher.runtime.clock import Clock
from usher.runtime.tasks import until_first

log = logging.getLogger(__name__)

CHECK_SECONDS = 10.0
"""How often the clock is checked, because somebody may have set it."""


async def expire_holds(journal: Journal, clock: Clock) -> None:
    """Write the end of each hold whose `until` has passed, until cancelled, or until the link is lost."""
    changed = journal.changed(HOLDS)
    while True:
        changed.clear()
        pause = CHECK_SECONDS
        for hold in tuple(journal.board.orders.holds):
            left = CHECK_SECONDS if hold.until is None else (hold.until - clock.now()) / 1000
            try:
                if left <= 0 and journal.board.orders.holds.get(hold.id):
                    await journal.append(HoldExpired(hold=hold.id, at=clock.now()))
                    log.info("the hold on %s by %s has expired", hold.scope, hold.by)
            except NotConfirmed as fault:
                log.warning("%s; trying again in %.0f s", fault, CHECK_SECONDS)
            except BrokerError:
                return
            else:
                pause = min(pause, left if left > 0 else pause)
        await until_first(clock.sleep(pause), changed.wait())
