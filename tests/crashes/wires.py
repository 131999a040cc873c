"""The lines between processes and the broker: latencies, unreachable hosts, and a recorder of what is published."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pydantic import SecretStr

from crashes.history import History
from crashes.loop import NOBODYS, SimulatedLoop
from crashes.memory.network import Disks, Kept, Network
from crashes.process import Process
from usher.broker.port import Argument, Connection, Delivered, Dial, Envelope
from usher.broker.topology import JOURNAL, ORDERS
from usher.core.events import DeployEnded, Outcome, decode

EVERYBODY = "*"

UNRECORDED = ("journal.barrier", "journal.checkpoint", "")
"""Kinds of entries that are not recorded."""


class SimulatedNetwork(Network):
    """Draws latencies from the seed, and makes hosts unreachable."""

    def __init__(self, loop: SimulatedLoop, latency: float) -> None:
        self._loop, self._latency = loop, latency
        self.unreachable: set[str] = set()

    def latency(self, host: str, to_broker: bool) -> float:
        chance = self._loop.chance
        usual = chance.random() * self._latency
        return usual if chance.random() < 0.98 else usual * 20

    def reaches(self, host: str) -> bool:
        return not self.unreachable & {host.partition("#")[0], EVERYBODY}

    def arrives(self, host: str, to_broker: bool) -> bool:
        return self._loop.chance.random() < 0.5


class SimulatedDisks(Disks):
    """Decides what the broker's disks keep, and records it.

    `kept` is when each message first arrived in its server's queue (s). `arrivals` are the arrivals in all queues, with
    their times. Until the time `late`, confirms are late; until `lost`, some get lost; until `partial`, some queues
    refuse or lose messages.
    """

    def __init__(self, loop: SimulatedLoop) -> None:
        self._loop = loop
        self.kept: dict[str, float] = {}
        self.arrivals: list[tuple[float, str, str]] = []
        self.late = self.lost = self.partial = 0.0

    def keeps(self, queue: str, envelope: Envelope) -> Kept:
        chance, now = self._loop.chance, self._loop.time()
        if now < self.partial and chance.random() < 0.3:
            return chance.choice((Kept.REFUSED, Kept.LOST))
        self.arrivals.append((now, queue, envelope.message_id))
        if queue.startswith(("usher.server.", "usher.unrouted")):
            self.kept.setdefault(envelope.message_id, now)
        return Kept.KEPT

    def confirm_after(self, queues: Sequence[str]) -> float | None:
        chance, now = self._loop.chance, self._loop.time()
        if now < self.lost and chance.random() < 0.5:
            return None
        return chance.uniform(0, 8) if now < self.late and chance.random() < 0.5 else 0.0


def recorded(dial: Dial, history: History, process: Process, loop: SimulatedLoop, latency: float) -> Dial:
    """Wrap a dial function, so that the history records what its connections publish, get and ack."""

    async def dial_and_record(url: SecretStr, *, heartbeat: int, name: str) -> Connection:
        return _Connection(await dial(url, heartbeat=heartbeat, name=name), history, process, loop, latency)

    return dial_and_record


class _Connection:
    def __init__(
        self, real: Connection, history: History, process: Process, loop: SimulatedLoop, latency: float
    ) -> None:
        self._real, self._recorder = real, (history, process, loop, latency)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    async def channel(self, *, confirms: bool) -> "_Channel":
        return _Channel(await self._real.channel(confirms=confirms), *self._recorder)


class _Channel:
    def __init__(self, real: Any, history: History, process: Process, loop: SimulatedLoop, latency: float) -> None:
        self._real, self._history, self._by = real, history, str(process)
        self._loop, self._latency = loop, latency
        self._held: dict[int, str] | None = None
        self._holds = ""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    async def publish(self, exchange: str, key: str, envelope: Envelope, *, mandatory: bool = True) -> None:
        kind = (envelope.type or "").partition("/")[0]
        if kind in UNRECORDED:
            await self._real.publish(exchange, key, envelope, mandatory=mandatory)
            return
        facts: dict[str, object] = {"id": envelope.message_id, "to": exchange, "by": self._by}
        if envelope.correlation_id:
            facts["deploy"] = envelope.correlation_id
        if kind == "deploy.ended":
            facts["passed"] = _passed(envelope.body)
        self._history.note(f"asked {kind}", **facts)
        try:
            await self._real.publish(exchange, key, envelope, mandatory=mandatory)
        except BaseException as error:
            self._history.note(f"no confirm of {kind}", id=envelope.message_id, by=self._by, why=type(error).__name__)
            raise
        self._history.note(f"confirmed {kind}", id=envelope.message_id, to=exchange, by=self._by)

    async def consume(
        self,
        queue: str,
        tag: str,
        prefetch: int,
        on_delivery: Callable[[Delivered], None],
        on_cancel: Callable[[], None],
        arguments: Mapping[str, Argument] | None = None,
    ) -> None:
        def deliver(got: Delivered) -> None:
            if self._held is not None:
                self._held[got.tag] = got.envelope.message_id
                facts = {"queue": queue, "id": got.envelope.message_id, "again": got.redelivered, "by": self._by}
                self._history.note(f"got{self._holds}", **facts)
            on_delivery(got)

        if queue.startswith("usher.server.") or queue == ORDERS:
            self._held, self._holds = {}, " order" if queue == ORDERS else ""
        on = self._a_moment_later(on_delivery) if queue == JOURNAL else deliver
        await self._real.consume(queue, tag, prefetch, on, on_cancel, arguments)

    def _a_moment_later(self, deliver: Callable[[Delivered], None]) -> Callable[[Delivered], None]:
        """Deliver in order, but later than other queues may: RabbitMQ promises no order between two queues."""
        loop, due = self._loop, [0.0]

        def later(got: Delivered) -> None:
            due[0] = max(due[0] + 1e-9, loop.time() + loop.chance.random() * 2 * self._latency)
            loop.call_at(due[0], deliver, got, context=NOBODYS)

        return later

    async def ack(self, tag: int, *, multiple: bool = False) -> None:
        if self._held is not None:
            acked = self._held.pop(tag, None)
            others = sum(one == acked for one in self._held.values())
            self._history.note(f"acked{self._holds}", id=acked, by=self._by, others=others)
        await self._real.ack(tag, multiple=multiple)


def _passed(body: bytes) -> str:
    event = decode(body)
    if isinstance(event, DeployEnded) and event.outcome is Outcome.PASSED:
        return " ".join((*(message.id for message in event.standing), *event.superseded))
    return ""
