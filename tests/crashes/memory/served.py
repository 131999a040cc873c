"""The broker's half of a channel. It is called only by frames."""

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, TypeVar

from crashes.memory.queues import Consumer, Held, Message, Queue
from usher.broker.port import Argument, ChannelClosed, Delivered, Envelope, Kind, Mismatch

if TYPE_CHECKING:
    from crashes.memory.channel import MemoryChannel
    from crashes.memory.session import Session

T = TypeVar("T")


class ServedChannel:
    """A channel, as the broker sees it. The client's half sends it frames, and never calls it directly."""

    def __init__(self, session: "Session", client: "MemoryChannel", *, confirms: bool) -> None:
        self.session = session
        self.unacked: dict[int, Held] = {}
        self._store = session.broker.store
        self._client = client
        self._confirms = confirms
        self._consumers: dict[str, tuple[Queue, Consumer]] = {}
        self._tag = 0
        self._alive = False
        self._after_answer: list[Callable[[], None]] = []

    def open(self) -> None:
        """Open the channel."""
        self._alive = True
        self.session.channels.append(self)

    def answer(self, method: Callable[..., T], arguments: tuple[object, ...]) -> None:
        """Call a method of this class, and send its result."""
        if self.session.gone or not (self._alive or method is ServedChannel.open):
            return
        try:
            value = method(self, *arguments)
        except ChannelClosed as error:
            self._fail(error)
            return
        self._send(self._client.answered, value)
        then, self._after_answer = self._after_answer, []
        for do in then:
            do()

    def declare_exchange(self, name: str, kind: Kind, arguments: Mapping[str, Argument]) -> None:
        self._store.exchanges.declare(name, kind, arguments)

    def delete_exchange(self, name: str) -> None:
        self._store.exchanges.delete(name)

    def declare_queue(self, name: str, arguments: Mapping[str, Argument]) -> None:
        self._store.declare_queue(name, arguments)

    def bind_queue(self, queue: str, exchange: str, key: str) -> None:
        self._store.queue(queue)
        self._store.exchanges.bind(exchange, key, queue, to_exchange=False)

    def unbind_queue(self, queue: str, exchange: str, key: str) -> None:
        self._store.exchanges.unbind(exchange, key, queue)

    def bind_exchange(self, exchange: str, source: str, key: str) -> None:
        self._store.exchanges.bind(source, key, exchange, to_exchange=True)

    def count(self, queue: str) -> int:
        return self._store.queue(queue).count

    def purge(self, queue: str) -> None:
        self._store.queue(queue).purge()

    def delete_queue(self, queue: str) -> None:
        self._store.delete_queue(queue)

    def consume(self, name: str, tag: str, prefetch: int, arguments: Mapping[str, Argument]) -> None:
        queue = self._store.queue(name)
        if tag in self._consumers:
            raise ChannelClosed(why=f"NOT_ALLOWED - attempt to reuse consumer tag '{tag}'")

        def deliver(held: Held, envelope: Envelope, *, redelivered: bool) -> None:
            self._tag += 1
            self.unacked[self._tag] = held
            self._send(self._client.delivered, tag, Delivered(envelope, redelivered, self._tag))

        def cancel() -> None:
            del self._consumers[tag]
            self._send(self._client.cancelled, tag)

        consumer = Consumer(tag, prefetch, arguments, deliver, cancel)
        queue.subscribe(consumer)
        self._consumers[tag] = queue, consumer
        self._after_answer.append(queue.serve)

    def cancel(self, tag: str) -> None:
        if tag in self._consumers:
            queue, consumer = self._consumers.pop(tag)
            queue.unsubscribe(consumer)
            self._after_answer.append(queue.serve)

    def ack(self, tag: int, multiple: bool) -> None:
        """Ack a delivery, or all up to it."""
        if self.session.gone or not self._alive:
            return
        if tag not in self.unacked:
            self._fail(Mismatch(why=f"PRECONDITION_FAILED - unknown delivery tag {tag}"))
            return
        queues: dict[Queue, None] = {}
        for one in _up_to(self.unacked, tag) if multiple else (tag,):
            held = self.unacked.pop(one)
            held.consumer.holds -= 1
            queues[held.queue] = None
        for queue in queues:
            queue.serve()

    def publish(self, number: int, exchange: str, key: str, envelope: Envelope, mandatory: bool) -> None:
        """Store a message, and confirm it on a channel with confirms."""
        if self.session.gone or not self._alive:
            return
        try:
            stored, queues = self._store.publish(Message(envelope, exchange, key))
        except ChannelClosed as error:
            self._fail(error)
            return
        if self._confirms and stored is not None:
            accepted = stored and bool(queues or not mandatory)
            self._store.confirm(queues, lambda: self._send(self._client.confirmed, number, exchange, accepted))
        if self.session.broker.alarm:
            self.session.stall()

    def close(self) -> None:
        self.drop()

    def drop(self) -> None:
        """Remove the channel. Its unacked messages return to their queues."""
        if not self._alive:
            return
        self._alive = False
        self.session.channels.remove(self)
        consumers, self._consumers = self._consumers, {}
        unacked, self.unacked = self.unacked, {}
        for queue, consumer in consumers.values():
            queue.unsubscribe(consumer)
        held: dict[Queue, list[Held]] = {queue: [] for queue, _ in consumers.values()}
        for one in unacked.values():
            held.setdefault(one.queue, []).append(one)
        for queue, back in held.items():
            queue.give_back(back)

    def _fail(self, error: ChannelClosed) -> None:
        """The broker closes the channel because of an error."""
        self.drop()
        self._send(self._client.broken, error)

    def _send(self, frame: Callable[..., None], *arguments: object) -> None:
        if not self.session.gone:
            self.session.wire.to_client.send(frame, *arguments)


def _up_to(tags: Iterable[int], last: int) -> list[int]:
    """The tags up to `last`; the tags are in order."""
    found = []
    for tag in tags:
        if tag > last:
            break
        found.append(tag)
    return found
