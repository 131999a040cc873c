"""The sweep of orders: an order that the journal has and that is not carried out is published again after a while.

That happens when the broker took an order for the journal but not for its queue, and when the journal has lost that it
was carried out. To publish an order twice does no harm.
"""

import logging

from usher.broker.journal import Journal
from usher.broker.publisher import Publisher
from usher.core.errors import NotConfirmed
from usher.runtime.clock import Clock

log = logging.getLogger(__name__)

LOOKS = 4
"""How often it is looked in the time after which an order is swept."""


async def sweep_orders(journal: Journal, publisher: Publisher, clock: Clock, span: int) -> None:
    """Publish again each order that has not been carried out for `span` (ms), until cancelled."""
    since: dict[str, int] = {}
    while True:
        await clock.sleep(span / LOOKS / 1000)
        now = clock.now()
        open_ = {known: entry.order for known, entry in journal.board.orders.entries.items() if entry.done_at is None}
        since = {known: since.get(known, now) for known in open_}
        for known, order in open_.items():
            if now - since[known] >= span:
                since[known] = now
                try:
                    await publisher.order(order)
                except NotConfirmed as fault:
                    log.warning("%s; it is swept again later", fault)
                else:
                    log.warning("order %s of %s: no queue brought it; published again", known, order.by)
