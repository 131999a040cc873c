"""A broker in memory behind the broker port, for a loop with virtual time: no threads, wall clock or randomness.

    broker = MemoryBroker(network, disks, now)       # override Network and Disks to make things go wrong
    async with connect(settings, "deploys", broker.dialer("deploys-1")) as link: …

Only the running loop determines the time. `now` gives the time of day (seconds since 1970), for streams that are read
from a time.

A connection has two halves, the client's and the broker's. They exchange only frames, which arrive in order, each after
the latency that `Network` gives it. A message is in its queues when its frame arrives; the confirm travels back.

- Break a connection: `for wire in broker.wires: if wire.host == "deploys-1": wire.cut()`. There are also `lose_client`
  and `lose_broker` (one side notices before the other), `silence` and `restore`, and `kill` (the client's process
  dies).
- Break the broker: `stop`, `start`, `restart`, `lose_tail`, `raise_alarm`, `clear_alarm`. With `Disks.keeps`, one of
  several queues can refuse a message. With `Disks.confirm_after`, confirms are late or lost.
- Act as an operator: `purge`, `delete_queue`, `trim`.
- Inspect it: `ready`, `unacked`, `entries`, `queues`, `wires`.
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
    """A broker in memory. `now` gives the time of day in seconds since 1970, for streams that are read from a time."""

    def __init__(
        self, network: Network | None = None, disks: Disks | None = None, now: Callable[[], float] = loop_time
    ) -> None:
        self.network = network or Network()
        self.disks = disks or Disks()
        self.store = Store(self.disks, now)
        self.sessions: list[Session] = []
        self.running = True
        self.alarm = False

    # connecting

    async def dial(self, url: SecretStr, *, heartbeat: int, name: str) -> Connection:
        """The broker port's Dial, from a host without a name."""
        return await self._dial("", name, heartbeat)

    def dialer(self, host: str) -> Dial:
        """A Dial for the processes of one host. The network and `wires` use this name."""

        async def dial(url: SecretStr, *, heartbeat: int, name: str) -> Connection:
            return await self._dial(host, name, heartbeat)

        return dial

    @property
    def wires(self) -> list[Wire]:
        """The connections that the broker knows, oldest first."""
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
        wire.to_client.send(_answer, opened, self.running)

    # inspection

    @property
    def queues(self) -> Mapping[str, Queue]:
        """All queues and streams."""
        return self.store.queues

    def ready(self, queue: str) -> list[Envelope]:
        """The ready messages of a queue, in order; none if there is no such queue."""
        found = self.queues.get(queue)
        return [message.envelope for message in found.ready] if isinstance(found, QuorumQueue) else []

    def unacked(self, queue: str) -> list[Envelope]:
        """The unacked messages of a queue, as the broker sees it."""
        channels = [channel for session in self.sessions for channel in session.channels]
        held = [one for channel in channels for one in channel.unacked.values()]
        return [one.message.envelope for one in held if one.queue is self.queues.get(queue)]

    def entries(self, stream: str) -> list[tuple[int, Envelope]]:
        """The entries of a stream with their offsets; none if there is no such stream."""
        found = self.queues.get(stream)
        return found.entries if isinstance(found, Stream) else []

    # faults and operators

    def purge(self, queue: str) -> None:
        """An operator purges a queue. Raises NotFound."""
        self.store.queue(queue).purge()

    def delete_queue(self, name: str) -> None:
        """An operator deletes a queue, if it exists."""
        self.store.delete_queue(name)

    def stop(self, *, silently: bool = False) -> None:
        """Stop, and keep all messages. Clients notice immediately, or with `silently` by missing heartbeats."""
        self.running = False
        for wire in self.wires:
            if silently:
                wire.lose_broker()
            else:
                wire.session.lost()
                wire.to_client.end(wire.client.lost, arrives=self.network.arrives(wire.host, False))

    def start(self) -> None:
        """Start again, without an alarm."""
        self.running = True
        self.alarm = False

    def restart(self, down: float, *, silently: bool = False) -> None:
        """Stop, and start again after `down` seconds."""
        self.stop(silently=silently)
        asyncio.get_running_loop().call_later(down, self.start, context=BROKERS)

    def lose_tail(self, stream: str, entries: int) -> None:
        """A stream loses its newest entries, as on a node that fails before they are on its disk. Only while the broker
        is stopped."""
        assert not self.running
        found = self.store.queue(stream)
        assert isinstance(found, Stream)
        found.lose_tail(entries)

    def trim(self, stream: str, through: int) -> None:
        """A stream drops its entries up to that offset, as if they exceeded its age or length limit."""
        found = self.store.queue(stream)
        assert isinstance(found, Stream)
        found.trim(through)

    def raise_alarm(self) -> None:
        """Memory or disk space runs short: from now on, publishers are blocked."""
        self.alarm = True

    def clear_alarm(self) -> None:
        """There is enough memory and disk space again."""
        self.alarm = False
        for session in tuple(self.sessions):
            session.resume()


def _answer(opened: asyncio.Future[bool], running: bool) -> None:
    if not opened.done():
        opened.set_result(running)
