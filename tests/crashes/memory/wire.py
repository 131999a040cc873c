"""A connection: its two lines, its halves at both ends, and the ways in which it can break."""

import asyncio
from collections.abc import Callable
from contextvars import Context, copy_context
from functools import partial
from typing import TYPE_CHECKING

from crashes.memory.client import MemoryConnection
from crashes.memory.network import BROKERS, Line
from crashes.memory.session import Session

if TYPE_CHECKING:
    from crashes.memory.broker import MemoryBroker


class Wire:
    """A connection, with methods that break it. A side that loses it does not inform the other."""

    def __init__(self, broker: "MemoryBroker", host: str, name: str, heartbeat: int) -> None:
        network = broker.network
        self.host = host
        self.name = name
        self.heartbeat = heartbeat
        self._context = copy_context()
        self.to_broker = Line(partial(network.latency, host, True), BROKERS)
        self.to_client = Line(partial(network.latency, host, False), self._context)
        self.client = MemoryConnection(self)
        self.session = Session(broker, self)
        self._network = network
        self._timers: list[asyncio.TimerHandle] = []

    @property
    def client_notices(self) -> float:
        """The longest time (s) until a client notices that its connection is dead."""
        return 3 * (self.heartbeat + 1) + self.heartbeat / 2

    @property
    def broker_notices(self) -> float:
        """The longest time (s) until the broker notices."""
        return 2.0 * self.heartbeat

    def cut(self) -> None:
        """Both sides notice, each after the frames in flight to it, if the network lets those arrive."""
        self.to_broker.end(self.session.lost, arrives=self._network.arrives(self.host, True))
        self.to_client.end(self.client.lost, arrives=self._network.arrives(self.host, False))

    def lose_client(self, broker_after: float | None = None) -> None:
        """The client notices now. The broker notices later, and until then considers its deliveries unacked."""
        self.client.lost()
        self._broker_later(broker_after)

    def lose_broker(self, client_after: float | None = None) -> None:
        """The broker notices now. The client notices later, and what it sends until then is lost."""
        self.session.lost()
        self._client_later(client_after)

    def silence(self, *, client_after: float | None = None, broker_after: float | None = None) -> None:
        """Nothing arrives in either direction until `restore`. Each side gives the connection up after some seconds."""
        self.to_broker.hold("silence")
        self.to_client.hold("silence")
        self._client_later(client_after)
        self._broker_later(broker_after)

    def restore(self) -> None:
        """The frames that were held back arrive. If one side had given the connection up, the other notices now."""
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()
        self.to_broker.release("silence")
        self.to_client.release("silence")
        if self.client.closed.is_set():
            self.to_broker.end(self.session.lost, arrives=True)
        if self.session.gone:
            self.to_client.end(self.client.lost, arrives=True)

    def kill(self, broker_after: float | None = None) -> None:
        """The client's process is dead: it receives and sends nothing more. The broker notices after the frames in
        flight. If the whole machine is dead, the broker notices after `broker_after` seconds."""
        self.to_client.stop()
        if broker_after is None:
            self.to_broker.end(self.session.lost, arrives=self._network.arrives(self.host, True))
        else:
            self.to_broker.seal()
            self._broker_later(broker_after)

    def _client_later(self, seconds: float | None) -> None:
        after = self.client_notices if seconds is None else seconds
        self._later(after, self.client.lost, self._context)

    def _broker_later(self, seconds: float | None) -> None:
        self._later(self.broker_notices if seconds is None else seconds, self.session.lost, BROKERS)

    def _later(self, seconds: float, notice: Callable[[], None], context: Context) -> None:
        self._timers.append(asyncio.get_running_loop().call_later(seconds, notice, context=context))
