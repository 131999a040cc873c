"""What queues of both kinds have in common, and who consumes them."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from usher.broker.port import Argument, Envelope


@dataclass(slots=True, eq=False)
class Message:
    """A message at the broker. `returns` is how often it came back, `expires_at` when it is due to go, by the loop."""

    envelope: Envelope
    exchange: str
    key: str
    returns: int = 0
    expires_at: float | None = None


class Deliver(Protocol):
    """Sends a message to a consumer's client."""

    def __call__(self, held: "Held", envelope: Envelope, *, redelivered: bool) -> None: ...


@dataclass(slots=True, eq=False)
class Consumer:
    """Who consumes. `holds` counts what it has and did not ack; `next` is the offset that it reads next of a stream."""

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
        """Whether it can get one more."""
        return self.holds < self.prefetch


@dataclass(slots=True, eq=False)
class Held:
    """A message that a consumer has and did not ack."""

    queue: "Queue"
    consumer: Consumer
    message: Message


class Queue(ABC):
    """A queue. What it is asked it does at once; `serve` sends what can be sent."""

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
        """Whether it refuses what is published."""
        return False

    @abstractmethod
    def take(self, message: Message) -> None:
        """Keep it."""

    @abstractmethod
    def serve(self) -> None:
        """Deliver what can be delivered."""

    @abstractmethod
    def give_back(self, held: Iterable[Held]) -> None:
        """What was not acked, in the order of its delivery; whoever had it is no longer a consumer."""

    @abstractmethod
    def purge(self) -> None:
        """Throw away what is ready."""

    def subscribe(self, consumer: Consumer) -> None:
        """One more consumer. Raises ChannelClosed for what it cannot ask."""
        self.consumers.append(consumer)

    def unsubscribe(self, consumer: Consumer) -> None:
        """It gets nothing more."""
        if consumer in self.consumers:
            self.consumers.remove(consumer)

    def delete(self) -> None:
        """It is no more: its consumers are told."""
        self.deleted = True
        consumers, self.consumers = self.consumers, []
        for consumer in consumers:
            consumer.cancel()
