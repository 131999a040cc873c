"""Consuming a queue by hand: deliveries are taken one by one, and acked when their work is done."""

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
    """the broker took the queue's consumer away"""


class NoConsumer(ConsumerLost):
    """the broker lets nobody consume {queue} now: {why}"""


@dataclass(frozen=True, slots=True)
class Delivery:
    """What a queue brought. It can be acked only on the consumer that got it."""

    body: bytes
    message_id: str
    redelivered: bool
    headers: Mapping[str, object]
    _channel: Channel = field(repr=False)
    _tag: int = field(repr=False)

    @property
    def offset(self) -> int:
        """Its place in the stream that brought it."""
        return int(str(self.headers["x-stream-offset"]))

    async def ack(self) -> None:
        """Done: the broker forgets it. Raises ConsumerLost when its channel is gone."""
        await self._ack(multiple=False)

    async def ack_all(self) -> None:
        """The same for everything that the consumer got up to this one."""
        await self._ack(multiple=True)

    async def _ack(self, *, multiple: bool) -> None:
        try:
            await self._channel.ack(self._tag, multiple=multiple)
        except Gone:
            raise ConsumerLost from None


class Consumer:
    """A consumer on a channel of its own. When the channel or the consumer goes, `lost` is set: whatever was held
    is somebody else's."""

    def __init__(self, channel: Channel, tag: str) -> None:
        self.lost = Loss()
        self._channel = channel
        self._tag = tag
        self._deliveries: deque[Delivery] = deque()
        self._come = asyncio.Event()
        """That a delivery has, or that none will any more."""
        self.lost.also(self._come)

    async def get(self) -> Delivery:
        """The next delivery. Raises ConsumerLost. One that is cancelled has taken nothing."""
        while not self._deliveries:
            if self.lost.is_set():
                raise ConsumerLost
            self._come.clear()
            await self._come.wait()
        return self._deliveries.popleft()

    async def drain(self) -> list[Delivery]:
        """All that has come by now, at least one. Raises ConsumerLost."""
        deliveries = [await self.get()]
        deliveries += self._deliveries
        self._deliveries.clear()
        return deliveries

    def undelivered(self) -> Delivery | None:
        """What has come and nobody took, if anything."""
        return self._deliveries.popleft() if self._deliveries else None

    async def leave(self) -> Delivery | None:
        """Get nothing more; gives what had been sent by then and nobody took, if anything. Raises ConsumerLost.

        Only for one that holds nothing: the broker would give the next consumer its queue's second message. What comes
        within the millisecond that the broker needs for it returns to the queue unseen, as redelivered.
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
            # as for a queue whose leader died as soon as it was declared
            raise NoConsumer(queue=queue, why=f"no answer in {START_SECONDS:.0f} s") from None
        except Gone as error:
            raise NoConsumer(queue=queue, why=error) from None

    def _on_delivery(self, got: Delivered) -> None:
        envelope = got.envelope
        self._deliveries.append(
            Delivery(envelope.body, envelope.message_id, got.redelivered, envelope.headers, self._channel, got.tag)
        )
        self._come.set()


@asynccontextmanager
async def consume(
    link: Link, queue: str, tag: str, *, prefetch: int, arguments: Mapping[str, Argument] | None = None
) -> AsyncIterator[Consumer]:
    """A consumer of that queue. Leaving closes its channel: what was not acked goes back to the queue's head.

    Raises NoConsumer, a ConsumerLost, if the queue is not there, or nobody leads it at this moment.
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
