"""Returns: what has waited in a retry queue is told again, if it is still wanted. If it is not, that was its end."""

import logging

from successes.results.decisions import each
from usher.broker.consumer import Consumer, Delivery
from usher.broker.journal import Journal
from usher.broker.publisher import Publisher
from usher.core.errors import NotConfirmed, Unreadable
from usher.core.events import decode_message
from usher.core.messages import BackMessage
from usher.core.states import State
from usher.core.versions import check
from usher.runtime.clock import Clock

log = logging.getLogger(__name__)

PREFETCH = 100
PAUSE = 5.0
"""Seconds before something that was not confirmed is published again."""

WANTED = (None, State.RETRYING)
"""A message that the journal does not know is told rather than lost."""


class Returns:
    """Takes what returns, for one connection."""

    def __init__(self, journal: Journal, publisher: Publisher, clock: Clock) -> None:
        self._journal = journal
        self._publisher = publisher
        self._clock = clock

    async def run(self, consumer: Consumer) -> None:
        """Take what returns until cancelled. Raises BrokerError; what is not acked by then comes again."""
        while True:
            deliveries = await consumer.drain()
            for delivery in deliveries:
                check(delivery.headers, f"message {delivery.message_id}")
            # what has passed or was withdrawn by now is not told any more
            await self._journal.barrier()
            await each(deliveries, self._take)

    async def _take(self, delivery: Delivery) -> None:
        try:
            message = decode_message(delivery.body)
        except Unreadable as fault:
            await self._publisher.park(delivery.body, delivery.message_id, str(fault))
            log.warning("parked what returned and cannot be read (%s): %s", delivery.message_id, fault)
        else:
            state = self._journal.board.state(message.id)
            if state in WANTED:
                await self._tell(message)
            else:
                log.info("%s of %s is %s: not tried again", message.issue, message.server, state)
        await delivery.ack()

    async def _tell(self, message: BackMessage) -> None:
        """Until it is confirmed: a server whose queue is full must not cost the others their results."""
        while True:
            try:
                await self._publisher.message(message.model_copy(update={"queued_at": self._clock.now()}))
            except NotConfirmed as fault:
                log.warning("%s of %s waits to be tried again: %s", message.issue, message.server, fault)
                await self._clock.sleep(PAUSE)
            else:
                log.info("%s of %s: attempt %d", message.issue, message.server, message.attempt)
                return
