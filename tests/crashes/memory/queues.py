"""What both kinds of queues have in common, and their consumers."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from usher.broker.port import Argument, Envelope


@dataclass(slots=True, eq=False)
class Message:
    """A message at the broker. `delivery_count` counts its returns, and `expires_at` is in the loop's time."""

    envelope: Envelope
    exchange: str
    key: str
    delivery_count: int = 0
    expires_at: float | None = None


class Deliver(Protocol):
    """Sends a message to the client of a consumer."""

    def __call__(self, held: "Held", envelope: Envelope, *, redelivered: bool) -> None: ...


@dataclass(slots=True, eq=False)
class Consumer:
    """A consumer. `holds` counts its unacked messages. `next` is the offset that it reads next, on a stream."""

    tag: str
    prefetch: int
    arguments: Mapping[str, Argument]
    deliver: Deliver
    cancel: Callable[[], None]
    priority: int = 0
    holds: int = 0
    next: int = 0

    @property
    def ready(self) -> bool:
        """Whether it may get another message."""
        return self.holds < self.prefetch


@dataclass(slots=True, eq=False)
class Held:
    """An unacked message of a consumer."""

    queue: "Queue"
    consumer: Consumer
    message: Message


class Queue(ABC):
    """A queue. Every method takes effect immediately. `serve` delivers whatever can be delivered."""

    def __init__(self, name: str, arguments: Mapping[str, Argument]) -> None:
        self.name = name
        self.arguments = dict(arguments)
        self.consumers: list[Consumer] = []
        self.deleted = False

    @property
    @abstractmethod
    def count(self) -> int:
        """How many messages are ready."""

    @property
    def full(self) -> bool:
        """Whether it refuses new messages."""
        return False

    @abstractmethod
    def take(self, message: Message) -> None:
        """Store a message."""

    @abstractmethod
    def serve(self) -> None:
        """Deliver messages to consumers that are ready."""

    @abstractmethod
    def give_back(self, held: Iterable[Held]) -> None:
        """Take back unacked messages, in the order of delivery. Their consumers have already left."""

    @abstractmethod
    def purge(self) -> None:
        """Drop all ready messages."""

    def subscribe(self, consumer: Consumer) -> None:
        """Add a consumer. Raises ChannelClosed if its arguments are invalid."""
        self.consumers.append(consumer)

    def unsubscribe(self, consumer: Consumer) -> None:
        """Remove a consumer."""
        if consumer in self.consumers:
            self.consumers.remove(consumer)

    def delete(self) -> None:
        """Delete the queue, and cancel its consumers."""
        self.deleted = True
        consumers, self.consumers = self.consumers, []
        for consumer in consumers:
            consumer.cancel()
