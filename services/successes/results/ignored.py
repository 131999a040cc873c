"""Records the moves that trackers ignored in the ledger, so that a person can see later why nothing happened."""

import logging
from functools import partial

from successes.ledger.ledger import Ledger
from successes.ledger.writes import write_ignored
from usher.broker.consumer import Consumer
from usher.core.errors import Unreadable
from usher.core.ignored import IgnoredMove, decode_ignored

log = logging.getLogger(__name__)

PREFETCH = 200


async def record_ignored(consumer: Consumer, ledger: Ledger) -> None:
    """Record ignored moves until cancelled. Raises BrokerError or LedgerFault; unacked ones are delivered again."""
    while True:
        deliveries = await consumer.drain()
        moves: list[IgnoredMove] = []
        for delivery in deliveries:
            try:
                moves.append(decode_ignored(delivery.body))
            except Unreadable as fault:
                log.warning("an ignored move cannot be read, and is not recorded: %s", fault)
        if moves:
            await ledger.change(partial(write_ignored, moves=moves))
        await deliveries[-1].ack_all()
