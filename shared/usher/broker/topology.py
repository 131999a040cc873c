"""Everything that Usher declares on the broker: exchanges, queues and bindings.

Somebody may delete a part while Usher runs, so `deploys` declares everything again from time to time.
All arguments are explicit constants, because the broker refuses to declare a queue again with other arguments.
"""

import logging
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from usher.broker.link import Link
from usher.broker.port import Argument, Channel, ChannelClosed, Kind, Mismatch, NotFound
from usher.broker.upgrade import shut_out_former
from usher.core.errors import BrokerError
from usher.core.servers import Server
from usher.runtime.clock import Clock

log = logging.getLogger(__name__)

MESSAGES = "usher.messages"
SERVERS = "usher.servers"
UNROUTED = "usher.unrouted"
RESULTS = "usher.results"
RETURNS = "usher.returns"
PARKED = "usher.parked"
IGNORED = "usher.ignored"
ORDERS = "usher.orders"
FACTS = "usher.facts"
JOURNAL = "usher.journal"
DECLARE_SECONDS = 60.0
"""Seconds between two declarations while a service runs."""

PROBE = "usher.probe"
"""An exchange that is bound to no queue. Publishing to it shows whether the broker confirms messages."""

FANOUTS = (UNROUTED, RESULTS, RETURNS, PARKED)
"""Exchanges that are each bound to one queue of the same name."""

_QUORUM: dict[str, Argument] = {
    "x-queue-type": "quorum",
    "x-delivery-limit": 1_000_000,
    "x-consumer-timeout": 604_800_000,
}
_SERVER: dict[str, Argument] = {
    **_QUORUM,
    "x-single-active-consumer": True,
    "x-overflow": "reject-publish",
}
_ORDERS: dict[str, Argument] = {**_QUORUM, "x-single-active-consumer": True}
"""One process carries out the orders, in the order in which they arrive."""
_RETRY: dict[str, Argument] = {
    **_QUORUM,
    "x-overflow": "reject-publish",
    "x-dead-letter-exchange": RETURNS,
    "x-dead-letter-strategy": "at-least-once",
}
_STREAM: dict[str, Argument] = {
    "x-queue-type": "stream",
    "x-stream-max-segment-size-bytes": 50_000_000,
    "x-max-length-bytes": 10_000_000_000,
    "x-max-age": "90D",
}


_IGNORED: dict[str, Argument] = {**_QUORUM, "x-max-length": 10_000}
"""If nobody consumes ignored moves, the broker keeps the newest ones."""


def server_queue(server: str) -> str:
    """The name of a server's queue."""
    return f"usher.server.{server}"


def retry_queue(delay: int) -> str:
    """The name of the exchange and queue for retries with this delay (ms), such as `usher.retry.5m`."""
    for unit, length in (("h", 3_600_000), ("m", 60_000), ("s", 1000)):
        if delay % length == 0:
            return f"usher.retry.{delay // length}{unit}"
    return f"usher.retry.{delay}ms"


@dataclass(frozen=True, slots=True)
class Queue:
    """A queue as it is declared. `bound` are its bindings, each an exchange and a key."""

    name: str
    arguments: Mapping[str, Argument]
    bound: tuple[tuple[str, str], ...]


def queue_of(server: Server) -> Queue:
    """A server's queue."""
    return Queue(server_queue(server.name), _SERVER, ((SERVERS, server.routing_key),))


def queues(servers: Iterable[Server], delays: Iterable[int] = ()) -> tuple[Queue, ...]:
    """Every queue for these servers, with a retry queue for each delay (ms)."""
    return (
        *(Queue(name, _QUORUM, ((name, ""),)) for name in FANOUTS),
        Queue(IGNORED, _IGNORED, ((IGNORED, ""),)),
        *(Queue(n, {**_RETRY, "x-message-ttl": ms}, ((n, ""),)) for ms in delays if (n := retry_queue(ms))),
        *map(queue_of, servers),
        Queue(ORDERS, _ORDERS, ((ORDERS, "#"),)),
        Queue(JOURNAL, _STREAM, ((MESSAGES, "#"), (FACTS, "#"), (ORDERS, "#"))),
    )


async def declare(link: Link, servers: Iterable[Server], delays: Collection[int] = ()) -> None:
    """Declare everything for these servers, with a retry queue for each delay (ms).

    Raises BrokerError if a queue or exchange exists with other arguments, or if the user lacks a permission.
    """
    try:
        await shut_out_former(link)
        await _declare_all(link, servers, delays)
    except Mismatch as error:
        raise BrokerError(
            why=f"the broker has one of Usher's queues or exchanges with other arguments: {error}. "
            "Empty and delete it in the management console, then start again"
        ) from None
    except ChannelClosed as error:
        advice = ". Its user needs the permissions to configure, write and read ^usher\\."
        why = f"the broker refused Usher's queues: {error}"
        raise BrokerError(why=why + advice if "ACCESS_REFUSED" in why else why) from None
    link.works()


async def _declare_all(link: Link, servers: Iterable[Server], delays: Collection[int]) -> None:
    channel = await link.publishing.channel(confirms=False)
    try:
        for name in (PROBE, IGNORED, *FANOUTS, *map(retry_queue, delays)):
            await channel.declare_exchange(name, Kind.FANOUT)
        await channel.declare_exchange(SERVERS, Kind.TOPIC, {"alternate-exchange": UNROUTED})
        for name in (MESSAGES, FACTS, ORDERS):
            await channel.declare_exchange(name, Kind.TOPIC)
        for queue in queues(servers, delays):
            await _declare(channel, queue)
        # last, so that nothing is routed before its queue exists
        await channel.bind_exchange(SERVERS, MESSAGES, "#")
    finally:
        await channel.close()


async def keep_declared(link: Link, servers: Iterable[Server], delays: Collection[int], clock: Clock) -> None:
    """Declare everything again every minute, until cancelled: somebody may have deleted an exchange or a binding.

    A message that is published while a part is missing is in the journal, and is re-published by the sweep.
    """
    said = ""
    while True:
        await clock.sleep(DECLARE_SECONDS)
        try:
            await declare(link, servers, delays)
            said = ""
        except BrokerError as fault:
            if str(fault) != said:
                log.warning("%s", fault)
                said = str(fault)


async def restore(link: Link, server: Server) -> bool:
    """Declare a server's queue again if somebody deleted it. Returns whether it was missing. Raises BrokerError."""
    channel = await link.publishing.channel(confirms=False)
    try:
        await channel.count(server_queue(server.name))
        return False
    except NotFound:
        pass
    finally:
        await channel.close()
    channel = await link.publishing.channel(confirms=False)
    try:
        await _declare(channel, queue_of(server))
    finally:
        await channel.close()
    return True


async def _declare(channel: Channel, queue: Queue) -> None:
    await channel.declare_queue(queue.name, queue.arguments)
    for exchange, key in queue.bound:
        await channel.bind_queue(queue.name, exchange, key)
