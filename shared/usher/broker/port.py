"""The broker port: everything that Usher needs from a broker. `usher.broker.amqp` implements it for RabbitMQ.

The terms are those of AMQP 0-9-1. A channel executes requests in order, and a confirmed message is never lost.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from pydantic import SecretStr

from usher.core.errors import BrokerError

Argument = str | int | bool | datetime


class Gone(BrokerError):
    """{why}"""


class ChannelClosed(Gone):
    """{why}"""


class NotFound(ChannelClosed):
    """{why}"""


class Mismatch(ChannelClosed):
    """{why}"""


class Refused(BrokerError):
    """{exchange} routed it to no queue, or a queue is full"""


class Loss(asyncio.Event):
    """A one-shot loss signal, propagated to dependents."""

    def __init__(self) -> None:
        super().__init__()
        self._also: list[asyncio.Event] = []

    def also(self, event: asyncio.Event) -> None:
        """Set another event together with this one, or immediately if this one is already set."""
        self._also = [other for other in self._also if not other.is_set()] + [event]
        if self.is_set():
            event.set()

    def set(self) -> None:
        """Signal the loss."""
        super().set()
        for event in self._also:
            event.set()


class Kind(StrEnum):
    """How an exchange routes."""

    FANOUT = "fanout"
    TOPIC = "topic"


@dataclass(frozen=True, slots=True)
class Envelope:
    """A message to publish, always persistent. `expires` is how long (ms) it may stay in a queue."""

    body: bytes
    message_id: str = ""
    type: str | None = None
    content_type: str | None = None
    content_encoding: str | None = None
    correlation_id: str | None = None
    reply_to: str | None = None
    app_id: str | None = None
    expires: int | None = None
    headers: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Delivered:
    """A message as delivered to a consumer. Its `tag` acks it, on the same channel."""

    envelope: Envelope
    redelivered: bool
    tag: int


class Channel(Protocol):
    """A channel. Each method raises Gone if the channel or its connection is lost; `closed` is set then.

    A refused request closes the channel and raises ChannelClosed, or one of its kinds, NotFound and Mismatch.
    """

    closed: Loss

    async def declare_exchange(self, name: str, kind: Kind, arguments: Mapping[str, Argument] | None = None) -> None:
        """Declare a durable exchange. Raises Mismatch if a different one of that name exists."""

    async def declare_queue(self, name: str, arguments: Mapping[str, Argument]) -> None:
        """Declare a durable queue. Raises Mismatch if it exists with other arguments."""

    async def delete_exchange(self, name: str) -> None:
        """Delete an exchange and its bindings. Does nothing if it does not exist."""

    async def bind_queue(self, queue: str, exchange: str, key: str) -> None:
        """Bind a queue to an exchange. Raises NotFound."""

    async def unbind_queue(self, queue: str, exchange: str, key: str) -> None:
        """Remove a binding. Does nothing if there is no such binding."""

    async def bind_exchange(self, exchange: str, source: str, key: str) -> None:
        """Bind an exchange to a source exchange. Raises NotFound."""

    async def publish(self, exchange: str, key: str, envelope: Envelope, *, mandatory: bool = True) -> None:
        """Publish, and return once the broker has confirmed it for every queue that it was routed to.

        Raises Refused if a queue rejected it (others may have it), or if it is `mandatory` and was routed to no queue.
        Raises NotFound and closes the channel if the exchange does not exist. Needs a channel with confirms.
        """

    async def consume(
        self,
        queue: str,
        tag: str,
        prefetch: int,
        on_delivery: Callable[[Delivered], None],
        on_cancel: Callable[[], None],
        arguments: Mapping[str, Argument] | None = None,
    ) -> None:
        """Consume a queue, with at most `prefetch` unacked deliveries (1 to 65,535).

        `on_cancel` is called when the broker cancels the consumer. Raises NotFound.
        """

    async def cancel(self, tag: str) -> None:
        """Stop consuming. Everything that was sent before has been delivered when this returns."""

    async def ack(self, tag: int, *, multiple: bool = False) -> None:
        """Ack a delivery; with `multiple`, also all earlier ones."""

    async def count(self, queue: str) -> int:
        """The number of messages that are ready in a queue, as far as the broker knows. Raises NotFound."""

    async def purge(self, queue: str) -> None:
        """Delete the messages that are ready in a queue. Raises NotFound."""

    async def delete_queue(self, queue: str) -> None:
        """Delete a queue and its messages. Does nothing if it does not exist."""

    async def close(self) -> None:
        """Close the channel. Unacked deliveries return to their places in the queue."""


class Connection(Protocol):
    """A connection. `closed` is set when it is closed or lost, whatever the reason."""

    closed: Loss

    async def channel(self, *, confirms: bool) -> Channel:
        """Open a channel. Raises Gone."""

    async def blocked(self) -> None:
        """Return as soon as the broker blocks publishing on this connection, because of a memory or disk alarm."""

    async def unblocked(self) -> None:
        """Return as soon as publishing is not blocked."""

    async def close(self) -> None:
        """Close the connection and all its channels."""


class Dial(Protocol):
    """Connects to a broker."""

    async def __call__(self, url: SecretStr, *, heartbeat: int, name: str) -> Connection:
        """Open a connection of the given name, which detects within a few heartbeats (s) that it is dead.

        Raises BrokerError, which says what is wrong and what to do.
        """
