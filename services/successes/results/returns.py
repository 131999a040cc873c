"""Returns: a message that comes back from a retry queue is re-published if it is still wanted, and dropped if not."""

import logging
from dataclasses import replace

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
from usher.settings.sections import POSTPONED

log = logging.getLogger(__name__)

PREFETCH = 100
PAUSE = 5.0
"""Seconds before a message that no queue accepts is published again."""

WANTED = (None, State.RETRYING)
"""States in which a message is re-published. One that the journal does not know is published rather than lost."""


class Returns:
    """Handles the messages that return on one connection."""

    def __init__(self, journal: Journal, publisher: Publisher, clock: Clock) -> None:
        self._journal = journal
        self._publisher = publisher
        self._clock = clock

    async def run(self, consumer: Consumer) -> None:
        """Handle returning messages until cancelled. Raises BrokerError; unacked messages are delivered again."""
        while True:
            deliveries = await consumer.drain()
            for delivery in deliveries:
                check(delivery.headers, f"message {delivery.message_id}")
            # so that nothing is re-published that has passed or was withdrawn by now
            await self._journal.barrier()
            await each(deliveries, self._take)

    async def _take(self, delivery: Delivery) -> None:
        try:
            message = decode_message(delivery.body)
        except Unreadable as fault:
            await self._publisher.park(delivery.body, delivery.message_id, str(fault))
            log.warning("parked a returned message that cannot be read (%s): %s", delivery.message_id, fault)
        else:
            state = self._journal.board.state(message.id)
            if state in WANTED:
                await self._publish(message)
            else:
                log.info("%s of %s is %s: not retried", message.issue, message.server, state)
        await delivery.ack()

    async def _publish(self, message: BackMessage) -> None:
        """Publish the message. If its server's queue is full, let it return again later: it must not delay others."""
        while not (await self._queued(message) or await self._postponed(message)):
            await self._clock.sleep(PAUSE)

    async def _queued(self, message: BackMessage) -> bool:
        try:
            await self._publisher.message(replace(message, queued_at=self._clock.now()))
        except NotConfirmed as fault:
            log.warning("%s of %s is waiting for its retry: %s", message.issue, message.server, fault)
            return False
        log.info("%s of %s: attempt %d", message.issue, message.server, message.attempt)
        return True

    async def _postponed(self, message: BackMessage) -> bool:
        try:
            await self._publisher.retry(message, POSTPONED, POSTPONED)
        except NotConfirmed as fault:
            log.warning("%s of %s cannot be postponed: %s", message.issue, message.server, fault)
            return False
        return True
