"""Consuming a queue by hand: deliveries are taken one by one, and acked when their work is done."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime

from aio_pika.abc import AbstractChannel, AbstractIncomingMessage
from aiormq.exceptions import AMQPError

from usher.broker.link import Link, LinkLost, closed, first

# what the client raises when a channel or its connection has gone
_GONE = (AMQPError, OSError, RuntimeError)

CLOSE_SECONDS = 5.0
LEAVE_SECONDS = 2.0

Argument = str | int | datetime


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
    _raw: AbstractIncomingMessage = field(repr=False)

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
            await self._raw.ack(multiple=multiple)
        except _GONE:
            raise ConsumerLost from None


class Consumer:
    """A consumer on a channel of its own. When the channel or the consumer goes, `lost` is set: whatever was held
    is somebody else's."""

    def __init__(self) -> None:
        self.lost = asyncio.Event()
        self._deliveries: deque[Delivery] = deque()
        self._come = asyncio.Event()

    async def get(self) -> Delivery:
        """The next delivery. Raises ConsumerLost. One that is cancelled has taken nothing."""
        while not self._deliveries:
            self._come.clear()
            await first(self._come.wait(), self.lost, ConsumerLost)
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
        channel, tag = self._consuming
        try:
            async with asyncio.timeout(LEAVE_SECONDS):
                await channel.basic_cancel(tag)
                # one more answer: until then the client has handed on all that came before the first
                await channel.basic_qos(prefetch_count=1)
        except (TimeoutError, *_GONE):
            raise ConsumerLost from None
        return self.undelivered()

    async def _start(
        self, channel: AbstractChannel, queue: str, tag: str, prefetch: int, arguments: dict[str, Argument]
    ) -> None:
        try:
            underlay = await channel.get_underlay_channel()
            self._consuming = underlay, tag
            underlay.on_consumer_cancel_callbacks.add(lambda _: self.lost.set())
            await channel.set_qos(prefetch_count=prefetch)
            source = await channel.get_queue(queue, ensure=False)
            await source.consume(self._on_delivery, consumer_tag=tag, arguments=dict(arguments))
        except _GONE as error:
            raise NoConsumer(queue=queue, why=error) from None

    async def _on_delivery(self, raw: AbstractIncomingMessage) -> None:
        self._deliveries.append(Delivery(raw.body, raw.message_id or "", bool(raw.redelivered), dict(raw.headers), raw))
        self._come.set()


@asynccontextmanager
async def consume(
    link: Link, queue: str, tag: str, *, prefetch: int, arguments: Mapping[str, Argument] | None = None
) -> AsyncIterator[Consumer]:
    """A consumer of that queue. Leaving closes its channel: what was not acked goes back to the queue's head.

    Raises NoConsumer, a ConsumerLost, if the queue is not there, or nobody leads it at this moment.
    """
    consumer = Consumer()
    link.depend(consumer.lost)
    channel = await _channel(link)
    channel.close_callbacks.add(lambda *_: consumer.lost.set())
    try:
        await consumer._start(channel, queue, tag, prefetch, dict(arguments or {}))
        yield consumer
    finally:
        consumer.lost.set()
        await closed(channel.close(), CLOSE_SECONDS)


async def _channel(link: Link) -> AbstractChannel:
    try:
        return await link.consuming.channel(publisher_confirms=False)
    except _GONE:
        raise ConsumerLost from None
