"""A quorum queue."""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

from crashes.memory.network import BROKERS
from crashes.memory.queues import Consumer, Held, Message, Queue
from usher.broker.port import Argument, Envelope

ZERO_PREFETCH = 2000
"""The actual prefetch if 0 was requested."""

RETRY_SECONDS = 180.0
"""Seconds until a dead letter that no queue accepted is published again."""

DeadLetter = Callable[["QuorumQueue", Message, str], bool]
"""Dead-letters a message for a reason. False if it was not confirmed, and must be published again."""


class QuorumQueue(Queue):
    """A quorum queue. Returned messages come first, in the order of return, then new ones in order."""

    def __init__(self, name: str, arguments: Mapping[str, Argument], dead_letter: DeadLetter) -> None:
        super().__init__(name, arguments)
        self.returned: deque[Message] = deque()
        self.published: deque[Message] = deque()
        self.dying: deque[tuple[Message, str]] = deque()
        self._dead_letter = dead_letter
        self._single = bool(arguments.get("x-single-active-consumer"))
        self._rejects = arguments.get("x-overflow") == "reject-publish"
        self._at_least_once = arguments.get("x-dead-letter-strategy") == "at-least-once"
        self._max_length = _number(arguments.get("x-max-length"))
        self._ttl = _number(arguments.get("x-message-ttl"))
        self._limit = _number(arguments.get("x-delivery-limit"))
        self._expiry: asyncio.TimerHandle | None = None
        self._retry: asyncio.TimerHandle | None = None

    @property
    def ready(self) -> list[Message]:
        """The ready messages, in order."""
        return [*self.returned, *self.published]

    @property
    def count(self) -> int:
        return len(self.returned) + len(self.published)

    @property
    def full(self) -> bool:
        return self._rejects and self._max_length is not None and self.count >= self._max_length

    def take(self, message: Message) -> None:
        ttls = [ms for ms in (self._ttl, message.envelope.expires) if ms is not None]
        if ttls:
            message.expires_at = asyncio.get_running_loop().time() + min(ttls) / 1000
        self.published.append(message)
        self.serve()
        while self._max_length is not None and not self._rejects and self.count > self._max_length:
            self._remove(self._next(), "maxlen")

    def subscribe(self, consumer: Consumer) -> None:
        consumer.prefetch = consumer.prefetch or ZERO_PREFETCH
        priority = consumer.arguments.get("x-priority", 0)
        consumer.priority = priority if isinstance(priority, int) else 0
        super().subscribe(consumer)
        if not self._single:
            self.consumers.sort(key=lambda c: -c.priority)

    def serve(self) -> None:
        self._expire()
        while self.returned or self.published:
            consumer = self._next_consumer()
            if consumer is None:
                break
            message = self._next()
            consumer.holds += 1
            redelivered = message.delivery_count > 0
            consumer.deliver(Held(self, consumer, message), _delivered(message), redelivered=redelivered)
            self._expire()

    def give_back(self, held: Iterable[Held]) -> None:
        if self.deleted:
            return
        for one in held:
            message = one.message
            message.delivery_count += 1
            if self._limit is not None and message.delivery_count > self._limit:
                self._remove(message, "delivery_limit")
            else:
                self.returned.append(message)
        self.serve()

    def purge(self) -> None:
        self.returned.clear()
        self.published.clear()

    def delete(self) -> None:
        super().delete()
        self.purge()
        self.dying.clear()
        for timer in (self._expiry, self._retry):
            if timer:
                timer.cancel()

    def _next_consumer(self) -> Consumer | None:
        if self._single:
            return self.consumers[0] if self.consumers and self.consumers[0].ready else None
        consumer = next((c for c in self.consumers if c.ready), None)
        if consumer and len(self.consumers) > 1:  # round robin
            self.consumers.remove(consumer)
            self.consumers.append(consumer)
            self.consumers.sort(key=lambda c: -c.priority)
        return consumer

    def _next(self) -> Message:
        return (self.returned or self.published).popleft()

    def _expire(self) -> None:
        """Remove expired messages, at the head only: those behind an unexpired one must wait."""
        while head := self.returned or self.published:
            at = head[0].expires_at
            if at is None:
                return
            loop = asyncio.get_running_loop()
            if at > loop.time():
                if self._expiry is None or self._expiry.cancelled() or self._expiry.when() != at:
                    if self._expiry:
                        self._expiry.cancel()
                    self._expiry = loop.call_at(at, self._due, at, context=BROKERS)
                return
            self._remove(head.popleft(), "expired")

    def _due(self, at: float) -> None:
        self._expiry = None
        head = self.returned or self.published
        if head and head[0].expires_at == at:  # a timer may fire one clock tick too early
            self._remove(head.popleft(), "expired")
        self.serve()

    def _remove(self, message: Message, reason: str) -> None:
        if "x-dead-letter-exchange" not in self.arguments:
            return
        if not self._dead_letter(self, message, reason) and self._at_least_once:
            self.dying.append((message, reason))
            if self._retry is None:
                self._retry = asyncio.get_running_loop().call_later(
                    RETRY_SECONDS, self._retry_dead_letters, context=BROKERS
                )

    def _retry_dead_letters(self) -> None:
        self._retry = None
        dying, self.dying = self.dying, deque()
        for message, reason in dying:
            self._remove(message, reason)


def _delivered(message: Message) -> Envelope:
    """The message as a consumer sees it."""
    envelope = message.envelope
    if message.delivery_count:
        return replace(envelope, expires=None, headers={**envelope.headers, "x-delivery-count": message.delivery_count})
    return envelope if envelope.expires is None else replace(envelope, expires=None)


def _number(argument: Argument | None) -> int | None:
    return argument if isinstance(argument, int) else None
