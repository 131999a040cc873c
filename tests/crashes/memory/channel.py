"""The client's half of a channel: the broker port's Channel."""

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from crashes.memory.served import ServedChannel
from usher.broker.port import Argument, ChannelClosed, Delivered, Envelope, Gone, Kind, Loss, Refused

if TYPE_CHECKING:
    from crashes.memory.client import MemoryConnection

T = TypeVar("T")
CHANNEL_SECONDS = 5.0
"""How long to wait for a channel to close."""


class MemoryChannel:
    """A channel, as its client sees it."""

    def __init__(self, connection: "MemoryConnection", *, confirms: bool) -> None:
        self.closed = Loss()
        self._connection = connection
        self._served = ServedChannel(connection.wire.session, self, confirms=confirms)
        self._confirming = confirms
        self._answers: deque[asyncio.Future[Any]] = deque()
        self._confirms: dict[int, asyncio.Future[None]] = {}
        self._published = 0
        self._consumers: dict[str, tuple[Callable[[Delivered], None], Callable[[], None]]] = {}

    async def open(self) -> None:
        await self._ask(ServedChannel.open)

    async def declare_exchange(self, name: str, kind: Kind, arguments: Mapping[str, Argument] | None = None) -> None:
        await self._ask(ServedChannel.declare_exchange, name, kind, dict(arguments or {}))

    async def declare_queue(self, name: str, arguments: Mapping[str, Argument]) -> None:
        await self._ask(ServedChannel.declare_queue, name, dict(arguments))

    async def bind_queue(self, queue: str, exchange: str, key: str) -> None:
        await self._ask(ServedChannel.bind_queue, queue, exchange, key)

    async def unbind_queue(self, queue: str, exchange: str, key: str) -> None:
        await self._ask(ServedChannel.unbind_queue, queue, exchange, key)

    async def bind_exchange(self, exchange: str, source: str, key: str) -> None:
        await self._ask(ServedChannel.bind_exchange, exchange, source, key)

    async def publish(self, exchange: str, key: str, envelope: Envelope, *, mandatory: bool = True) -> None:
        self._check()
        self._published += 1
        number = self._published
        self._send(self._served.publish, number, exchange, key, envelope, mandatory)
        if not self._confirming:
            return
        confirm = self._confirms[number] = asyncio.get_running_loop().create_future()
        try:
            await confirm
        finally:
            self._confirms.pop(number, None)

    async def consume(
        self,
        queue: str,
        tag: str,
        prefetch: int,
        on_delivery: Callable[[Delivered], None],
        on_cancel: Callable[[], None],
        arguments: Mapping[str, Argument] | None = None,
    ) -> None:
        self._consumers[tag] = on_delivery, on_cancel
        await self._ask(ServedChannel.consume, queue, tag, prefetch, dict(arguments or {}))

    async def cancel(self, tag: str) -> None:
        await self._ask(ServedChannel.cancel, tag)
        self._consumers.pop(tag, None)

    async def ack(self, tag: int, *, multiple: bool = False) -> None:
        self._check()
        self._send(self._served.ack, tag, multiple)

    async def count(self, queue: str) -> int:
        return await self._ask(ServedChannel.count, queue)

    async def purge(self, queue: str) -> None:
        await self._ask(ServedChannel.purge, queue)

    async def delete_exchange(self, name: str) -> None:
        await self._ask(ServedChannel.delete_exchange, name)

    async def delete_queue(self, queue: str) -> None:
        await self._ask(ServedChannel.delete_queue, queue)

    async def close(self) -> None:
        try:
            async with asyncio.timeout(CHANNEL_SECONDS):
                await self._ask(ServedChannel.close)
        except (Gone, TimeoutError):
            pass
        self.lost(Gone(why="the channel is closed"))

    def answered(self, value: object) -> None:
        """The broker has answered the oldest request."""
        answer = self._answers.popleft()
        if not answer.done():
            answer.set_result(value)

    def confirmed(self, number: int, exchange: str, accepted: bool) -> None:
        """The broker has confirmed a message, or refused it."""
        confirm = self._confirms.get(number)
        if confirm is None or confirm.done():
            return
        if accepted:
            confirm.set_result(None)
        else:
            confirm.set_exception(Refused(exchange=exchange))

    def delivered(self, tag: str, delivered: Delivered) -> None:
        """The broker has delivered a message to a consumer."""
        self._consumers[tag][0](delivered)

    def cancelled(self, tag: str) -> None:
        """The broker has cancelled a consumer."""
        self._consumers.pop(tag)[1]()

    def broken(self, error: ChannelClosed) -> None:
        """The broker has closed the channel."""
        self.lost(error)

    def lost(self, error: Gone) -> None:
        """The channel is gone: fail all pending calls."""
        if self.closed.is_set():
            return
        self._connection.forget(self)
        for waiting in (*self._answers, *self._confirms.values()):
            if not waiting.done():
                waiting.set_exception(type(error)(**error.facts))
        self.closed.set()

    async def _ask(self, method: Callable[..., T], *arguments: object) -> T:
        self._check()
        answer: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._answers.append(answer)
        self._send(self._served.answer, method, arguments)
        try:
            return await answer
        except asyncio.CancelledError:
            self._abandon()
            raise

    def _abandon(self) -> None:
        """Close the channel after a call on it was cancelled, as the real client does."""
        if not self.closed.is_set():
            self._answers.append(asyncio.get_running_loop().create_future())
            self._send(self._served.answer, ServedChannel.close, ())
            self.lost(Gone(why="the channel is closed: a call was cancelled"))

    def _check(self) -> None:
        if self.closed.is_set():
            raise Gone(why="the channel is closed")

    def _send(self, frame: Callable[..., None], *arguments: object) -> None:
        self._connection.wire.to_broker.send(frame, *arguments)
