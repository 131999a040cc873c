"""A stream."""

import asyncio
from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import datetime

from crashes.memory.queues import Consumer, Held, Message, Queue
from usher.broker.port import Argument, ChannelClosed, Envelope


class Stream(Queue):
    """A stream. It keeps all entries until it is trimmed, and each consumer reads from the place that it asks for."""

    def __init__(self, name: str, arguments: Mapping[str, Argument], now: Callable[[], float]) -> None:
        super().__init__(name, arguments)
        self.first = 0
        self._now = now
        self._entries: list[Message] = []
        self._at: list[float] = []

    @property
    def entries(self) -> list[tuple[int, Envelope]]:
        """The entries with their offsets, in order."""
        return [(self.first + n, message.envelope) for n, message in enumerate(self._entries)]

    @property
    def end(self) -> int:
        """The offset of the next entry."""
        return self.first + len(self._entries)

    @property
    def count(self) -> int:
        return len(self._entries)

    def take(self, message: Message) -> None:
        self._entries.append(message)
        self._at.append(self._now())
        self.serve()

    def subscribe(self, consumer: Consumer) -> None:
        if consumer.prefetch < 1:
            raise ChannelClosed(
                why=f"PRECONDITION_FAILED - consumer prefetch count is not set for stream '{self.name}'"
            )
        consumer.next = self._start(consumer.arguments.get("x-stream-offset", "next"))
        super().subscribe(consumer)

    def serve(self) -> None:
        for consumer in tuple(self.consumers):
            while consumer.holds < consumer.prefetch and consumer.next < self.end:
                offset = max(consumer.next, self.first)
                message = self._entries[offset - self.first]
                consumer.next = offset + 1
                consumer.holds += 1
                envelope = message.envelope
                headers = {**envelope.headers, "x-stream-offset": offset}
                held = Held(self, consumer, message)
                consumer.deliver(held, replace(envelope, expires=None, headers=headers), redelivered=False)

    def give_back(self, held: Iterable[Held]) -> None:
        """Nothing to do: a stream keeps delivered entries."""

    def purge(self) -> None:
        raise ChannelClosed(why="NOT_IMPLEMENTED - purge not supported by stream queues")

    def trim(self, through: int) -> None:
        """Drop the entries up to that offset."""
        gone = max(0, min(through + 1 - self.first, len(self._entries)))
        del self._entries[:gone], self._at[:gone]
        self.first += gone

    def lose_tail(self, entries: int) -> None:
        """Lose the newest entries. Their offsets are used again."""
        kept = max(0, len(self._entries) - entries)
        del self._entries[kept:], self._at[kept:]

    def _start(self, requested: Argument) -> int:
        if isinstance(requested, datetime):
            return self.first + bisect_left(self._at, requested.timestamp())
        if isinstance(requested, int):
            return requested
        if requested == "first":
            return self.first
        if requested == "next":
            return self.end
        raise ChannelClosed(why=f"PRECONDITION_FAILED - x-stream-offset {requested!r}")


def loop_time() -> float:
    """The loop's time, used as the time of day."""
    return asyncio.get_running_loop().time()
