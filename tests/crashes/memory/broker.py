"""The broker port's broker in memory, for a scheduler with a virtual clock: no threads, no wall clock, no chance.

    broker = MemoryBroker(network, disks, now)       # Network and Disks are policies: override what should go wrong
    async with connect(settings, "deploys", broker.dialer("deploys-1")) as link: …

Time passes by the running loop alone. `now` gives the time of day (s since 1970) for streams that are read from a time.

A client's half of a connection and the broker's are separate, and only frames pass between them, each after the latency
that `Network` gives it, in order. What is published is in its queues when its frame arrives; the confirm travels back.

Break one connection: `for wire in broker.wires: if wire.host == "deploys-1": wire.cut()`; also `lose_client`,
`lose_broker` (one side sees it before the other), `silence` and `mend`, `kill` (the client's process is dead).
Break the broker: `stop`, `start`, `restart`, `lose_tail`, `raise_alarm`, `clear_alarm`; `Disks.keeps` lets one of
several queues refuse, `Disks.confirm_after` makes confirms late or lose them. An operator's hand: `purge`,
`delete_queue`, `trim`. Look at it: `ready`, `unacked`, `entries`, `queues`, `wires`.
"""

import asyncio
from collections.abc import Callable, Mapping

from pydantic import SecretStr

from crashes.memory.network import BROKERS, Disks, Network
from crashes.memory.queues import Queue
from crashes.memory.quorum import QuorumQueue
from crashes.memory.session import Session
from crashes.memory.store import Store
from crashes.memory.stream import Stream, loop_time
from crashes.memory.wire import Wire
from usher.broker.port import Connection, Dial, Envelope
from usher.core.errors import BrokerError

CONNECT_SECONDS = 10.0


class MemoryBroker:
    """A broker in memory. `now` gives the time of day in seconds since 1970, by which a stream is read from a time."""

    def __init__(
        self, network: Network | None = None, disks: Disks | None = None, now: Callable[[], float] = loop_time
    ) -> None:
        self.network = network or Network()
        self.disks = disks or Disks()
        self.store = Store(self.disks, now)
        self.sessions: list[Session] = []
        self.running = True
        self.alarm = False

    # to connect

    async def dial(self, url: SecretStr, *, heartbeat: int, name: str) -> Connection:
        """The broker port's Dial; the host has no name."""
        return await self._dial("", name, heartbeat)

    def dialer(self, host: str) -> Dial:
        """A Dial for the processes of one host, as the network and `wires` name it."""

        async def dial(url: SecretStr, *, heartbeat: int, name: str) -> Connection:
            return await self._dial(host, name, heartbeat)

        return dial

    @property
    def wires(self) -> list[Wire]:
        """The connections that the broker knows of, the oldest first."""
        return [session.wire for session in self.sessions]

    async def _dial(self, host: str, name: str, heartbeat: int) -> Connection:
        wire = Wire(self, host, name, heartbeat)
        opened: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        if self.network.reaches(host):
            wire.to_broker.send(self._accept, wire, opened)
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                if await opened:
                    return wire.client
        except TimeoutError:
            wire.kill()
            raise BrokerError(why="no broker answers (in time); start it, or correct [broker] url") from None
        except asyncio.CancelledError:
            wire.kill()
            raise
        raise BrokerError(why="no broker answers (refused); start it, or correct [broker] url")

    def _accept(self, wire: Wire, opened: asyncio.Future[bool]) -> None:
        if self.running:
            wire.session.gone = False
            self.sessions.append(wire.session)
        wire.to_client.send(_tell, opened, self.running)

    # to be looked at

    @property
    def queues(self) -> Mapping[str, Queue]:
        """All queues and streams."""
        return self.store.queues

    def ready(self, queue: str) -> list[Envelope]:
        """What waits in that queue to be delivered, in order. Nothing, if it is not there."""
        found = self.queues.get(queue)
        return [message.envelope for message in found.ready] if isinstance(found, QuorumQueue) else []

    def unacked(self, queue: str) -> list[Envelope]:
        """What consumers of that queue have and did not ack, as the broker sees it."""
        channels = [channel for session in self.sessions for channel in session.channels]
        held = [one for channel in channels for one in channel.unacked.values()]
        return [one.message.envelope for one in held if one.queue is self.queues.get(queue)]

    def entries(self, stream: str) -> list[tuple[int, Envelope]]:
        """Each entry of that stream with its offset. Nothing, if it is not there."""
        found = self.queues.get(stream)
        return found.entries if isinstance(found, Stream) else []

    # what befalls it

    def purge(self, queue: str) -> None:
        """An operator purges a queue. Raises NotFound."""
        self.store.queue(queue).purge()

    def delete_queue(self, name: str) -> None:
        """An operator deletes a queue, if it is there."""
        self.store.delete_queue(name)

    def stop(self, *, silently: bool = False) -> None:
        """It stops; what it has taken it keeps. Its clients see it at once, or, `silently`, each at its heartbeat."""
        self.running = False
        for wire in self.wires:
            if silently:
                wire.lose_broker()
            else:
                wire.session.lost()
                wire.to_client.end(wire.client.lost, arrives=self.network.arrives(wire.host, False))

    def start(self) -> None:
        """It is there again, with no alarm."""
        self.running = True
        self.alarm = False

    def restart(self, down: float, *, silently: bool = False) -> None:
        """It stops, and starts after so many seconds."""
        self.stop(silently=silently)
        asyncio.get_running_loop().call_later(down, self.start, context=BROKERS)

    def lose_tail(self, stream: str, entries: int) -> None:
        """A stream loses that many of its newest entries, as one node does that goes down before they are on its disk.
        Only while it is stopped."""
        assert not self.running
        found = self.store.queue(stream)
        assert isinstance(found, Stream)
        found.lose_tail(entries)

    def trim(self, stream: str, through: int) -> None:
        """A stream forgets its entries up to that offset, as its age or length makes it do."""
        found = self.store.queue(stream)
        assert isinstance(found, Stream)
        found.trim(through)

    def raise_alarm(self) -> None:
        """Memory or disk gets short: whoever publishes from now on is blocked."""
        self.alarm = True

    def clear_alarm(self) -> None:
        """There is enough again."""
        self.alarm = False
        for session in tuple(self.sessions):
            session.go_on()


def _tell(opened: asyncio.Future[bool], running: bool) -> None:
    if not opened.done():
        opened.set_result(running)
