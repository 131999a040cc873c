"""The broker port for RabbitMQ, implemented with aio-pika."""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import cast

from aio_pika import ExchangeType
from aio_pika.abc import AbstractChannel, AbstractConnection
from aiormq import Channel as UnderlayChannel
from aiormq import spec
from aiormq.abc import DeliveredMessage
from aiormq.exceptions import (
    AMQPChannelError,
    AMQPError,
    ChannelNotFoundEntity,
    ChannelPreconditionFailed,
    DeliveryError,
)
from pydantic import SecretStr

from usher.broker import port
from usher.broker.connecting import CLOSE_SECONDS, channel_closed, closed, open_connection
from usher.broker.port import (
    Argument,
    ChannelClosed,
    Delivered,
    Envelope,
    Gone,
    Kind,
    Loss,
    Mismatch,
    NotFound,
    Refused,
)

CHANNEL_SECONDS = 5.0
"""How long to wait for a channel to close."""

PERSISTENT = 2
"""The delivery mode of messages that survive a restart of the broker."""

SMALL = 64 * 1024
"""The maximum size (bytes) of what may be buffered here before the socket takes it."""

POLL_SECONDS = 0.1
"""Seconds between two checks whether a connection is blocked. The client has no notification for that."""


async def dial(url: SecretStr, *, heartbeat: int, name: str) -> "Connection":
    """Connect to RabbitMQ."""
    return Connection(await open_connection(url, heartbeat=heartbeat, name=name))


class Connection:
    """A connection of aio-pika."""

    def __init__(self, raw: AbstractConnection) -> None:
        self.raw = raw
        self.closed = Loss()
        raw.close_callbacks.add(lambda *_: self.closed.set())

    async def channel(self, *, confirms: bool) -> port.Channel:
        with _errors():
            channel = await self.raw.channel(publisher_confirms=confirms, on_return_raises=confirms)
            return Channel(channel, cast("UnderlayChannel", await channel.get_underlay_channel()))

    async def blocked(self) -> None:
        while await self._is_ready():  # noqa: ASYNC110 - the client has no event for this
            await asyncio.sleep(POLL_SECONDS)

    async def unblocked(self) -> None:
        if self.raw.transport is not None:
            await self.raw.transport.ready()

    async def _is_ready(self) -> bool:
        """Whether it accepts messages now. A lost connection is handled elsewhere."""
        ready = asyncio.ensure_future(self.unblocked())
        await asyncio.wait((ready,), timeout=POLL_SECONDS)
        ready.cancel()
        return ready.done() and not ready.cancelled()

    async def close(self) -> None:
        await closed(self.raw.close(), CLOSE_SECONDS)


class Channel:
    """A channel of aio-pika. Acks, cancels and some other requests use aiormq, the layer below it."""

    def __init__(self, raw: AbstractChannel, underlay: UnderlayChannel) -> None:
        self.raw = raw
        self._underlay = underlay
        self.closed = Loss()
        raw.close_callbacks.add(lambda *_: self.closed.set())

    async def declare_exchange(self, name: str, kind: Kind, arguments: Mapping[str, Argument] | None = None) -> None:
        with _errors():
            await self.raw.declare_exchange(name, ExchangeType(kind), durable=True, arguments=dict(arguments or {}))

    async def declare_queue(self, name: str, arguments: Mapping[str, Argument]) -> None:
        with _errors():
            await self.raw.declare_queue(name, durable=True, arguments=dict(arguments))

    async def delete_exchange(self, name: str) -> None:
        with _errors():
            await self._underlay.exchange_delete(name)

    async def bind_queue(self, queue: str, exchange: str, key: str) -> None:
        with _errors():
            await self._underlay.queue_bind(queue, exchange, key)

    async def unbind_queue(self, queue: str, exchange: str, key: str) -> None:
        with _errors():
            await self._underlay.queue_unbind(queue, exchange, key)

    async def bind_exchange(self, exchange: str, source: str, key: str) -> None:
        with _errors():
            await self._underlay.exchange_bind(exchange, source, routing_key=key)

    async def publish(self, exchange: str, key: str, envelope: Envelope, *, mandatory: bool = True) -> None:
        with _errors():
            try:
                # a small one is not waited for until the socket has taken it: its confirm comes later than that
                await self._underlay.basic_publish(
                    envelope.body,
                    exchange=exchange,
                    routing_key=key,
                    properties=_properties(envelope),
                    mandatory=mandatory,
                    wait=len(envelope.body) > SMALL,
                )
            except DeliveryError:
                raise Refused(exchange=exchange) from None

    async def consume(
        self,
        queue: str,
        tag: str,
        prefetch: int,
        on_delivery: Callable[[Delivered], None],
        on_cancel: Callable[[], None],
        arguments: Mapping[str, Argument] | None = None,
    ) -> None:
        async def deliver(message: DeliveredMessage) -> None:
            on_delivery(_delivered(message))

        with _errors():
            self._underlay.on_consumer_cancel_callbacks.add(lambda _: on_cancel())
            await self._underlay.basic_qos(prefetch_count=prefetch)
            # aio-pika would wrap each delivery in a message and a task of its own
            await self._underlay.basic_consume(queue, deliver, consumer_tag=tag, arguments=dict(arguments or {}))

    async def cancel(self, tag: str) -> None:
        with _errors():
            await self._underlay.basic_cancel(tag)
            # when this second call is answered, the client has passed on everything that came before the first answer
            await self._underlay.basic_qos(prefetch_count=1)

    async def ack(self, tag: int, *, multiple: bool = False) -> None:
        with _errors():
            await self._underlay.basic_ack(tag, multiple=multiple)

    async def count(self, queue: str) -> int:
        with _errors():
            found = await self.raw.declare_queue(queue, passive=True)
        return found.declaration_result.message_count or 0

    async def purge(self, queue: str) -> None:
        with _errors():
            await self._underlay.queue_purge(queue)

    async def delete_queue(self, queue: str) -> None:
        with _errors():
            await self._underlay.queue_delete(queue)

    async def close(self) -> None:
        await channel_closed(self.raw.close(), CHANNEL_SECONDS)


@contextmanager
def _errors() -> Iterator[None]:
    """Translate the client's errors into those of the port."""
    try:
        yield
    except ChannelNotFoundEntity as error:
        raise NotFound(why=error) from None
    except ChannelPreconditionFailed as error:
        raise Mismatch(why=error) from None
    except AMQPChannelError as error:
        raise ChannelClosed(why=error) from None
    except (AMQPError, OSError, RuntimeError) as error:
        raise Gone(why=str(error) or type(error).__name__) from None


def _properties(envelope: Envelope) -> spec.Basic.Properties:
    return spec.Basic.Properties(
        headers=dict(envelope.headers),  # type: ignore[arg-type]  # the sender only uses types that AMQP has
        message_id=envelope.message_id,
        message_type=envelope.type,
        content_type=envelope.content_type,
        content_encoding=envelope.content_encoding,
        correlation_id=envelope.correlation_id,
        reply_to=envelope.reply_to,
        app_id=envelope.app_id,
        expiration=None if envelope.expires is None else str(envelope.expires),
        delivery_mode=PERSISTENT,
    )


def _delivered(message: DeliveredMessage) -> Delivered:
    found = message.header.properties
    envelope = Envelope(
        message.body,
        message_id=found.message_id or "",
        type=found.message_type,
        content_type=found.content_type,
        content_encoding=found.content_encoding,
        correlation_id=found.correlation_id,
        reply_to=found.reply_to,
        app_id=found.app_id,
        headers=found.headers or {},
    )
    return Delivered(envelope, bool(message.redelivered), message.delivery_tag or 0)
