"""The exchanges and queues of the broker, and how messages are stored in them."""

import asyncio
from collections.abc import Callable, Mapping

from crashes.memory.deaths import dead, deaths_of
from crashes.memory.network import BROKERS, Disks, Kept
from crashes.memory.queues import Message, Queue
from crashes.memory.quorum import QuorumQueue
from crashes.memory.routing import Exchanges
from crashes.memory.stream import Stream
from usher.broker.port import Argument, Mismatch, NotFound


class Store:
    """All exchanges and queues. They survive every connection, and every restart."""

    def __init__(self, disks: Disks, now: Callable[[], float]) -> None:
        self.exchanges = Exchanges()
        self.queues: dict[str, Queue] = {}
        self._disks = disks
        self._now = now

    def queue(self, name: str) -> Queue:
        """The queue or stream with that name. Raises NotFound."""
        if name not in self.queues:
            raise NotFound(why=f"NOT_FOUND - no queue '{name}'")
        return self.queues[name]

    def delete_queue(self, name: str) -> None:
        """Delete a queue, if it exists."""
        if name in self.queues:
            queue = self.queues.pop(name)
            self.exchanges.forget(name)
            queue.delete()

    def declare_queue(self, name: str, arguments: Mapping[str, Argument]) -> None:
        """Declare a queue. Raises Mismatch if it exists with other arguments."""
        found = self.queues.get(name)
        if found is not None and _compared(found.arguments) != _compared(arguments):
            raise Mismatch(why=f"PRECONDITION_FAILED - inequivalent arg for queue '{name}'")
        if found is None:
            stream = arguments.get("x-queue-type") == "stream"
            new = Stream(name, arguments, self._now) if stream else QuorumQueue(name, arguments, self._dead_letter)
            self.queues[name] = new

    def publish(self, message: Message) -> tuple[bool | None, tuple[str, ...]]:
        """Store a message. Returns whether all its queues stored it (None: no answer ever comes), and these queues.

        Raises NotFound.
        """
        if message.exchange:
            queues = self.exchanges.route(message.exchange, message.key)
        else:
            queues = tuple(name for name in (message.key,) if name in self.queues)
        return self._put(message, queues), queues

    def confirm(self, queues: tuple[str, ...], send: Callable[[], None]) -> None:
        """Send a confirm after the delay that the disks give it."""
        after = self._disks.confirm_after(queues) if queues else 0
        if after == 0:
            send()
        elif after is not None:
            asyncio.get_running_loop().call_later(after, send, context=BROKERS)

    def _put(self, message: Message, queues: tuple[str, ...]) -> bool | None:
        kept: list[Kept] = []
        for name in queues:
            queue = self.queues[name]
            kept.append(Kept.REFUSED if queue.full else self._disks.keeps(name, message.envelope))
            if kept[-1] is Kept.KEPT:
                queue.take(Message(message.envelope, message.exchange, message.key))
        if Kept.LOST in kept:
            return None
        return Kept.REFUSED not in kept

    def _dead_letter(self, queue: QuorumQueue, message: Message, reason: str) -> bool:
        exchange = str(queue.arguments["x-dead-letter-exchange"])
        key = str(queue.arguments.get("x-dead-letter-routing-key", message.key))
        envelope = dead(message.envelope, queue, message, reason, int(self._now()))
        try:
            queues = self.exchanges.route(exchange, key)
        except NotFound:
            return False
        # a message never returns to a queue where it has died, because nobody rejected it in between
        earlier = [death["queue"] for death in deaths_of(message.envelope)]
        fresh = tuple(name for name in queues if name not in earlier)
        stored = self._put(Message(envelope, exchange, key), fresh)
        return bool(queues and stored and (not fresh or self._disks.confirm_after(fresh) is not None))


def _compared(arguments: Mapping[str, Argument]) -> dict[str, Argument]:
    """The arguments that are compared when a queue is declared again."""
    return {name: argument for name, argument in arguments.items() if name != "x-consumer-timeout"}
