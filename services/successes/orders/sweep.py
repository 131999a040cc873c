"""The sweep of orders: re-publishes orders in the journal that have not been carried out for a while.

There are two causes: the broker accepted an order for the journal but not for its queue, or the journal has lost the
`order.done`. Publishing an order twice is safe.

A hold is re-published for as long as it stands. So the queue has it even if only the journal received it, and its
delivery never stays unacked for longer than a broker allows.
"""

import logging

from usher.broker.journal import Journal
from usher.broker.publisher import Publisher
from usher.core.errors import NotConfirmed
from usher.core.orders import HoldOrder
from usher.runtime.clock import Clock

log = logging.getLogger(__name__)

LOOKS = 4
"""The number of checks during the time after which an order is swept."""


async def sweep_orders(journal: Journal, publisher: Publisher, clock: Clock, span: int) -> None:
    """Re-publish each order that has not been carried out for `span` (ms), until cancelled."""
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
                    await publisher.order(order.model_copy(update={"republished": True}))
                except NotConfirmed as fault:
                    log.warning("%s; the sweep will try again", fault)
                    continue
                if not isinstance(order, HoldOrder):
                    log.warning("order %s of %s: no queue delivered it; re-published", known, order.by)
