"""The client's half of a connection: the broker port's Connection."""

import asyncio
from typing import TYPE_CHECKING

from crashes.memory.channel import MemoryChannel
from usher.broker.port import Gone, Loss

if TYPE_CHECKING:
    from crashes.memory.wire import Wire

CONNECTION_SECONDS = 2.0
"""How long to wait for a connection to close."""


class MemoryConnection:
    """A connection, as its client sees it. `wire` is for tests that break it."""

    def __init__(self, wire: "Wire") -> None:
        self.wire = wire
        self.closed = Loss()
        self._channels: list[MemoryChannel] = []
        self._free = asyncio.Event()
        self._free.set()
        self._blocked = asyncio.Event()

    async def channel(self, *, confirms: bool) -> MemoryChannel:
        await self.unblocked()
        if self.closed.is_set():
            raise Gone(why="the connection is closed")
        channel = MemoryChannel(self, confirms=confirms)
        self._channels.append(channel)
        await channel.open()
        return channel

    async def blocked(self) -> None:
        await self._blocked.wait()

    async def unblocked(self) -> None:
        await self._free.wait()

    async def close(self) -> None:
        if self.closed.is_set():
            return
        self.wire.to_broker.send(self.wire.session.close)
        try:
            async with asyncio.timeout(CONNECTION_SECONDS):
                await self.closed.wait()
        except TimeoutError:
            self.lost()

    def lost(self) -> None:
        """The connection is gone: close its channels."""
        if self.closed.is_set():
            return
        self.wire.to_client.stop()
        self.wire.to_broker.seal()
        for channel in tuple(self._channels):
            channel.lost(Gone(why="the connection is gone"))
        self.unblock()
        self.closed.set()

    def block(self) -> None:
        self._free.clear()
        self._blocked.set()

    def unblock(self) -> None:
        self._blocked.clear()
        self._free.set()

    def forget(self, channel: MemoryChannel) -> None:
        if channel in self._channels:
            self._channels.remove(channel)
