"""Acks what has been read from a stream, in groups: each ack costs the broker about as much as a delivery."""

import asyncio

from usher.broker.consumer import Delivery

ACK_PAUSE = 0.05
"""Seconds between two acks. The consumer's prefetch must be larger than what can be read in that time."""


class Acking:
    """Acks the deliveries of one consumer."""

    def __init__(self) -> None:
        self._latest: Delivery | None = None
        self._read = asyncio.Event()

    def note(self, delivery: Delivery) -> None:
        """Ack this delivery soon, and all earlier ones."""
        self._latest = delivery
        self._read.set()

    async def run(self) -> None:
        """Ack until cancelled. Raises ConsumerLost."""
        while True:
            await self._read.wait()
            await asyncio.sleep(ACK_PAUSE)
            self._read.clear()
            if self._latest:
                await self._latest.ack_all()
