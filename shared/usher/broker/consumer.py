"""Consuming a queue by hand: deliveries are taken one by one, and acked when their work is done."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aio_pika.abc import AbstractChannel, AbstractIncomingMessage
from aiormq.exceptions import AMQPError

from usher.broker.link import Link, LinkLost, closed, first

# what the client raises when a channel or its connection has gone
_GONE = (AMQPError, OSError, RuntimeError)

CLOSE_SECONDS = 5.0


class ConsumerLost(LinkLost):
    """the broker took the queue's consumer away"""


@dataclass(frozen=True, slots=True)
class Delivery:
    """What a queue brought. It can be acked only on the consumer that got it."""

    body: bytes
    message_id: str
    redelivered: bool
    headers: Mapping[str, object]
    _raw: AbstractIncomingMessage = field(repr=False)

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
        self._deliveries: asyncio.Queue[Delivery] = asyncio.Queue()

    async def get(self) -> Delivery:
        """The next delivery. Raises ConsumerLost."""
        return await first(self._deliveries.get(), self.lost, ConsumerLost)

    async def drain(self) -> list[Delivery]:
        """All that has come by now, at least one. Raises ConsumerLost."""
        deliveries = [await self.get()]
        while not self._deliveries.empty():
            deliveries.append(self._deliveries.get_nowait())
        return deliveries

    def undelivered(self) -> Delivery | None:
        """What has come and nobody took, if anything."""
        return None if self._deliveries.empty() else self._deliveries.get_nowait()

    async def _start(
        self, channel: AbstractChannel, queue: str, tag: str, prefetch: int, arguments: dict[str, str | int]
    ) -> None:
        try:
            underlay = await channel.get_underlay_channel()
            underlay.on_consumer_cancel_callbacks.add(lambda _: self.lost.set())
            await channel.set_qos(prefetch_count=prefetch)
            source = await channel.get_queue(queue, ensure=False)
            await source.consume(self._on_delivery, consumer_tag=tag, arguments=dict(arguments))
        except _GONE:
            raise ConsumerLost from None

    async def _on_delivery(self, raw: AbstractIncomingMessage) -> None:
        self._deliveries.put_nowait(
            Delivery(raw.body, raw.message_id or "", bool(raw.redelivered), dict(raw.headers), raw)
        )


@asynccontextmanager
async def consume(
    link: Link, queue: str, tag: str, *, prefetch: int, arguments: Mapping[str, str | int] | None = None
) -> AsyncIterator[Consumer]:
    """A consumer of that queue. Leaving closes its channel: what was not acked goes back to the queue's head.

    Raises ConsumerLost if the queue is not there.
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
