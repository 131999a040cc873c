"""The broker port: what Usher asks of a broker, and no more. `usher.broker.amqp` has RabbitMQ behind it.

The words are AMQP 0-9-1's. What one channel is asked is done in order; what is confirmed is kept.
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
    """{exchange} took it nowhere, or a queue is full"""


class Loss(asyncio.Event):
    """That something is gone, for good: waited for, or passed on to what depends on it."""

    def __init__(self) -> None:
        super().__init__()
        self._also: list[asyncio.Event] = []

    def also(self, event: asyncio.Event) -> None:
        """Have that event set with this one; at once, if this one is set."""
        self._also = [other for other in self._also if not other.is_set()] + [event]
        if self.is_set():
            event.set()

    def set(self) -> None:
        """It is gone."""
        super().set()
        for event in self._also:
            event.set()


class Kind(StrEnum):
    """How an exchange routes."""

    FANOUT = "fanout"
    TOPIC = "topic"


@dataclass(frozen=True, slots=True)
class Envelope:
    """A message as it travels, always persistent. `expires` is how long (ms) it may stay in the queue it gets to."""

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
    """What a consumer gets. `tag` acks it, on the channel that it came on."""

    envelope: Envelope
    redelivered: bool
    tag: int


class Channel(Protocol):
    """A channel. Each method raises Gone when it, or its connection, goes; `closed` is set then.

    What the broker refuses closes the channel: ChannelClosed, of which NotFound and Mismatch are two.
    """

    closed: Loss

    async def declare_exchange(self, name: str, kind: Kind, arguments: Mapping[str, Argument] | None = None) -> None:
        """See that a durable exchange is there. Raises Mismatch if it is another."""

    async def declare_queue(self, name: str, arguments: Mapping[str, Argument]) -> None:
        """See that a durable queue is there. Raises Mismatch if it has other arguments."""

    async def delete_exchange(self, name: str) -> None:
        """Delete it with its bindings. One that is not there is no fault."""

    async def bind_queue(self, queue: str, exchange: str, key: str) -> None:
        """Have the exchange fill the queue, too. Raises NotFound."""

    async def bind_exchange(self, exchange: str, source: str, key: str) -> None:
        """Have the source fill the exchange, too. Raises NotFound."""

    async def publish(self, exchange: str, key: str, envelope: Envelope, *, mandatory: bool = True) -> None:
        """Publish, and return once the broker has confirmed it for every queue that it was routed to.

        Raises Refused if one of them did not take it, though others may have it, or if it was routed to none and is
        `mandatory`; NotFound, and the channel is closed, if the exchange is not there. Needs a channel with confirms.
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
        """Have each delivery handed on, `prefetch` of them unacked at the most (1 to 65,535).

        `on_cancel` is called when the broker takes the consumer away. Raises NotFound.
        """

    async def cancel(self, tag: str) -> None:
        """Get nothing more. What had been sent before has been handed on when this returns."""

    async def ack(self, tag: int, *, multiple: bool = False) -> None:
        """Have the broker forget that delivery; with `multiple`, all up to it."""

    async def count(self, queue: str) -> int:
        """How many messages are ready in it, as the broker knows at the moment. Raises NotFound."""

    async def purge(self, queue: str) -> None:
        """Throw away what is ready in it. Raises NotFound."""

    async def delete_queue(self, queue: str) -> None:
        """Delete it, whatever is in it. One that is not there is no fault."""

    async def close(self) -> None:
        """Close it. What was delivered on it and not acked goes back to where it was."""


class Connection(Protocol):
    """A connection; `closed` is set when it is gone, whoever ended it."""

    closed: Loss

    async def channel(self, *, confirms: bool) -> Channel:
        """A new channel. Raises Gone."""

    async def blocked(self) -> None:
        """Return as soon as the broker does not take what is published here: under a memory or disk alarm."""

    async def unblocked(self) -> None:
        """Return as soon as it does."""

    async def close(self) -> None:
        """Close it, and all its channels."""


class Dial(Protocol):
    """How a broker is connected to."""

    async def __call__(self, url: SecretStr, *, heartbeat: int, name: str) -> Connection:
        """A connection of that name, which notices within some heartbeats (s) that it is dead.

        Raises BrokerError, a sentence that says what is wrong and what to do.
        """
