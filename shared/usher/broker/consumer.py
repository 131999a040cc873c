"""Consumes a queue by hand: deliveries are fetched one by one, and acked when their work is done."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from usher.broker.link import Link, LinkLost
from usher.broker.port import Argument, Channel, Delivered, Gone, Loss

START_SECONDS = 15.0
LEAVE_SECONDS = 2.0


class ConsumerLost(LinkLost):
    """the broker cancelled the queue's consumer"""


class NoConsumer(ConsumerLost):
    """the broker does not let Usher consume {queue}: {why}"""


@dataclass(frozen=True, slots=True)
class Delivery:
    """A delivery of a queue. It can be acked only on the consumer that received it."""

    body: bytes
    message_id: str
    redelivered: bool
    headers: Mapping[str, object]
    _channel: Channel = field(repr=False)
    _tag: int = field(repr=False)

    @property
    def offset(self) -> int:
        """Its offset in the stream."""
        return int(str(self.headers["x-stream-offset"]))

    async def ack(self) -> None:
        """Ack it, so that the broker forgets it. Raises ConsumerLost if its channel is closed."""
        await self._ack(multiple=False)

    async def ack_all(self) -> None:
        """Ack this delivery and all earlier ones of the consumer."""
        await self._ack(multiple=True)

    async def _ack(self, *, multiple: bool) -> None:
        try:
            await self._channel.ack(self._tag, multiple=multiple)
        except Gone:
            raise ConsumerLost from None


class Consumer:
    """A consumer on its own channel. `lost` is set when the channel or the consumer is lost. The unacked deliveries
    then go to another consumer."""

    def __init__(self, channel: Channel, tag: str) -> None:
        self.lost = Loss()
        self._channel = channel
        self._tag = tag
        self._deliveries: deque[Delivery] = deque()
        self._wake = asyncio.Event()
        """Set on delivery or loss."""
        self.lost.also(self._wake)

    async def get(self) -> Delivery:
        """Wait for the next delivery. Raises ConsumerLost. A cancelled call has fetched nothing."""
        while not self._deliveries:
            if self.lost.is_set():
                raise ConsumerLost
            self._wake.clear()
            await self._wake.wait()
        return self._deliveries.popleft()

    async def drain(self) -> list[Delivery]:
        """Wait until there is a delivery, then return all that have arrived. Raises ConsumerLost."""
        deliveries = [await self.get()]
        deliveries += self._deliveries
        self._deliveries.clear()
        return deliveries

    def undelivered(self) -> Delivery | None:
        """The next delivery that has arrived and was not fetched, if any."""
        return self._deliveries.popleft() if self._deliveries else None

    async def leave(self) -> Delivery | None:
        """Stop consuming. Returns a delivery that had arrived and was not fetched, if any. Raises ConsumerLost.

        Call this only if no delivery is unacked; otherwise the broker would give the next consumer the queue's second
        message. A message that arrives while the broker processes the cancel returns to the queue as redelivered.
        """
        try:
            async with asyncio.timeout(LEAVE_SECONDS):
                await self._channel.cancel(self._tag)
        except (TimeoutError, Gone):
            raise ConsumerLost from None
        return self.undelivered()

    async def _start(self, queue: str, prefetch: int, arguments: Mapping[str, Argument]) -> None:
        try:
            async with asyncio.timeout(START_SECONDS):
                await self._channel.consume(
                    queue, self._tag, prefetch, self._on_delivery, self.lost.set, arguments=arguments
                )
        except TimeoutError:
            # for example a queue whose leader died as soon as it was declared
            raise NoConsumer(queue=queue, why=f"no answer in {START_SECONDS:.0f} s") from None
        except Gone as error:
            raise NoConsumer(queue=queue, why=error) from None

    def _on_delivery(self, got: Delivered) -> None:
        envelope = got.envelope
        self._deliveries.append(
            Delivery(envelope.body, envelope.message_id, got.redelivered, envelope.headers, self._channel, got.tag)
        )
        self._wake.set()


@asynccontextmanager
async def consume(
    link: Link, queue: str, tag: str, *, prefetch: int, arguments: Mapping[str, Argument] | None = None
) -> AsyncIterator[Consumer]:
    """Consume a queue. Leaving the block closes the channel, and unacked deliveries return to the head of the queue.

    Raises NoConsumer, a ConsumerLost, if the queue does not exist or has no leader at the moment.
    """
    try:
        channel = await link.consuming.channel(confirms=False)
    except Gone:
        raise ConsumerLost from None
    consumer = Consumer(channel, tag)
    link.lost.also(consumer.lost)
    channel.closed.also(consumer.lost)
    try:
        await consumer._start(queue, prefetch, arguments or {})
        yield consumer
    finally:
        consumer.lost.set()
        await channel.close()
