"""A connection from its dialling on: two lines, a half at each end, and the ways in which it breaks."""

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
    """A connection, for whoever breaks it. What is broken for one side is told to nobody else."""

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
        self._noticing: list[asyncio.TimerHandle] = []

    @property
    def client_notices(self) -> float:
        """How long (s) a client takes at most to notice that its connection is dead."""
        return 3 * (self.heartbeat + 1) + self.heartbeat / 2

    @property
    def broker_notices(self) -> float:
        """How long (s) the broker takes at most."""
        return 2.0 * self.heartbeat

    def cut(self) -> None:
        """Both sides see it go: each after what was on its way to it, if the network lets that arrive."""
        self.to_broker.end(self.session.lost, arrives=self._network.arrives(self.host, True))
        self.to_client.end(self.client.lost, arrives=self._network.arrives(self.host, False))

    def lose_client(self, broker_after: float | None = None) -> None:
        """The client sees it go, now; the broker that many seconds later, and holds what it delivered until then."""
        self.client.lost()
        self._broker_later(broker_after)

    def lose_broker(self, client_after: float | None = None) -> None:
        """The broker sees it go, now; what the client sends gets nowhere, and it notices that many seconds later."""
        self.session.lost()
        self._client_later(client_after)

    def silence(self, *, client_after: float | None = None, broker_after: float | None = None) -> None:
        """Nothing comes through either way, until it is mended; each side gives it up after so many seconds."""
        self.to_broker.hold("silence")
        self.to_client.hold("silence")
        self._client_later(client_after)
        self._broker_later(broker_after)

    def mend(self) -> None:
        """What was held back comes through. A side that had given it up stays gone, and the other now sees it."""
        for timer in self._noticing:
            timer.cancel()
        self._noticing.clear()
        self.to_broker.release("silence")
        self.to_client.release("silence")
        if self.client.closed.is_set():
            self.to_broker.end(self.session.lost, arrives=True)
        if self.session.gone:
            self.to_client.end(self.client.lost, arrives=True)

    def kill(self, broker_after: float | None = None) -> None:
        """The client's process is dead: it hears, and says, nothing any more. The broker sees it after what was on its
        way; or, if the whole machine is gone, that many seconds later."""
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
        self._noticing.append(asyncio.get_running_loop().call_later(seconds, notice, context=context))
