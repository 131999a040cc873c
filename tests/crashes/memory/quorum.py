"""A quorum queue."""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

from crashes.memory.network import BROKERS
from crashes.memory.queues import Consumer, Held, Message, Queue
from usher.broker.port import Argument, Envelope

UNLIMITED = 2000
"""What the broker makes of a prefetch of 0."""

LATER = 180.0
"""Seconds until what no other queue took is dead-lettered again."""

DeadLetter = Callable[["QuorumQueue", Message, str], bool]
"""Passes a message on for a reason; False if it was not confirmed, and has to be passed on again."""


class QuorumQueue(Queue):
    """What came back is at its head, in the order of coming back; then what was published, in order."""

    def __init__(self, name: str, arguments: Mapping[str, Argument], dead_letter: DeadLetter) -> None:
        super().__init__(name, arguments)
        self.returned: deque[Message] = deque()
        self.published: deque[Message] = deque()
        self.dying: deque[tuple[Message, str]] = deque()
        self._dead_letter = dead_letter
        self._single = bool(arguments.get("x-single-active-consumer"))
        self._rejects = arguments.get("x-overflow") == "reject-publish"
        self._at_least_once = arguments.get("x-dead-letter-strategy") == "at-least-once"
        self._longest = _number(arguments.get("x-max-length"))
        self._ttl = _number(arguments.get("x-message-ttl"))
        self._limit = _number(arguments.get("x-delivery-limit"))
        self._expiry: asyncio.TimerHandle | None = None
        self._again: asyncio.TimerHandle | None = None

    @property
    def ready(self) -> list[Message]:
        """What waits to be delivered, in order."""
        return [*self.returned, *self.published]

    @property
    def count(self) -> int:
        return len(self.returned) + len(self.published)

    @property
    def full(self) -> bool:
        return self._rejects and self._longest is not None and self.count >= self._longest

    def take(self, message: Message) -> None:
        lives = [ms for ms in (self._ttl, message.envelope.expires) if ms is not None]
        if lives:
            message.expires_at = asyncio.get_running_loop().time() + min(lives) / 1000
        self.published.append(message)
        self.serve()
        while self._longest is not None and not self._rejects and self.count > self._longest:
            self._bury(self._next(), "maxlen")

    def subscribe(self, consumer: Consumer) -> None:
        consumer.prefetch = consumer.prefetch or UNLIMITED
        priority = consumer.arguments.get("x-priority", 0)
        consumer.priority = priority if isinstance(priority, int) else 0
        super().subscribe(consumer)
        if not self._single:
            self.consumers.sort(key=lambda c: -c.priority)

    def serve(self) -> None:
        self._expire()
        while self.returned or self.published:
            consumer = self._whose_turn()
            if consumer is None:
                break
            message = self._next()
            consumer.holds += 1
            redelivered = message.returns > 0
            consumer.deliver(Held(self, consumer, message), _delivered(message), redelivered=redelivered)
            self._expire()

    def give_back(self, held: Iterable[Held]) -> None:
        if self.deleted:
            return
        for one in held:
            message = one.message
            message.returns += 1
            if self._limit is not None and message.returns > self._limit:
                self._bury(message, "delivery_limit")
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
        for timer in (self._expiry, self._again):
            if timer:
                timer.cancel()

    def _whose_turn(self) -> Consumer | None:
        if self._single:
            return self.consumers[0] if self.consumers and self.consumers[0].ready else None
        consumer = next((c for c in self.consumers if c.ready), None)
        if consumer and len(self.consumers) > 1:  # the next time it is another's turn
            self.consumers.remove(consumer)
            self.consumers.append(consumer)
            self.consumers.sort(key=lambda c: -c.priority)
        return consumer

    def _next(self) -> Message:
        return (self.returned or self.published).popleft()

    def _expire(self) -> None:
        """Only at the head: what lives shorter behind it waits."""
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
            self._bury(head.popleft(), "expired")

    def _due(self, at: float) -> None:
        self._expiry = None
        head = self.returned or self.published
        if head and head[0].expires_at == at:  # a timer may be called a clock's tick too early
            self._bury(head.popleft(), "expired")
        self.serve()

    def _bury(self, message: Message, reason: str) -> None:
        if "x-dead-letter-exchange" not in self.arguments:
            return
        if not self._dead_letter(self, message, reason) and self._at_least_once:
            self.dying.append((message, reason))
            if self._again is None:
                self._again = asyncio.get_running_loop().call_later(LATER, self._bury_again, context=BROKERS)

    def _bury_again(self) -> None:
        self._again = None
        dying, self.dying = self.dying, deque()
        for message, reason in dying:
            self._bury(message, reason)


def _delivered(message: Message) -> Envelope:
    """The message as a consumer sees it."""
    envelope = message.envelope
    if message.returns:
        return replace(envelope, expires=None, headers={**envelope.headers, "x-delivery-count": message.returns})
    return envelope if envelope.expires is None else replace(envelope, expires=None)


def _number(argument: Argument | None) -> int | None:
    return argument if isinstance(argument, int) else None
