"""What Usher declares on the broker: every exchange, queue and binding, in one place.

Every argument is set explicitly and is a constant: a queue that is declared again with another argument is refused.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from aio_pika import ExchangeType
from aio_pika.abc import AbstractChannel
from aiormq.exceptions import AMQPChannelError, ChannelPreconditionFailed

from usher.errors import BrokerError
from usher.servers import Server

MESSAGES = "usher.messages"
SERVERS = "usher.servers"
UNROUTED = "usher.unrouted"
RESULTS = "usher.results"
PARKED = "usher.parked"
EVENTS = "usher.events"
JOURNAL = "usher.journal"

_QUORUM: dict[str, str | int] = {
    "x-queue-type": "quorum",
    "x-delivery-limit": 1_000_000,
    "x-consumer-timeout": 604_800_000,
}
_SERVER: dict[str, str | int | bool] = {
    **_QUORUM,
    "x-single-active-consumer": True,
    "x-overflow": "reject-publish",
}
_STREAM: dict[str, str | int] = {
    "x-queue-type": "stream",
    "x-stream-max-segment-size-bytes": 50_000_000,
    "x-max-length-bytes": 10_000_000_000,
    "x-max-age": "90D",
}


def server_queue(server: str) -> str:
    """The name of a server's queue."""
    return f"usher.server.{server}"


@dataclass(frozen=True, slots=True)
class Queue:
    """A queue as it is declared; `bound` are the exchange and the key that fill it."""

    name: str
    arguments: dict[str, str | int] | dict[str, str | int | bool]
    bound: tuple[tuple[str, str], ...]


def queues(servers: Iterable[Server]) -> tuple[Queue, ...]:
    """Every queue of these servers' topology."""
    return (
        Queue(UNROUTED, _QUORUM, ((UNROUTED, ""),)),
        Queue(RESULTS, _QUORUM, ((RESULTS, ""),)),
        Queue(PARKED, _QUORUM, ((PARKED, ""),)),
        *(Queue(server_queue(s.name), _SERVER, ((SERVERS, s.routing_key),)) for s in servers),
        Queue(JOURNAL, _STREAM, ((MESSAGES, "#"), (EVENTS, "#"))),
    )


async def declare(channel: AbstractChannel, servers: Iterable[Server]) -> None:
    """Declare all of it. Raises BrokerError, naming the queue, if one exists with other arguments."""
    try:
        for name in (UNROUTED, RESULTS, PARKED):
            await channel.declare_exchange(name, ExchangeType.FANOUT, durable=True)
        doors = await channel.declare_exchange(
            SERVERS, ExchangeType.TOPIC, durable=True, arguments={"alternate-exchange": UNROUTED}
        )
        messages = await channel.declare_exchange(MESSAGES, ExchangeType.TOPIC, durable=True)
        await channel.declare_exchange(EVENTS, ExchangeType.TOPIC, durable=True)
        for wanted in queues(servers):
            queue = await channel.declare_queue(wanted.name, durable=True, arguments=dict(wanted.arguments))
            for exchange, key in wanted.bound:
                await queue.bind(exchange, key)
        # last, so that nothing is routed before its queue exists
        await doors.bind(messages, "#")
    except ChannelPreconditionFailed as error:
        raise BrokerError(
            why=f"the broker has one of Usher's queues or exchanges with other arguments: {error}. "
            "Empty and delete it in the management console, then start again"
        ) from None
    except AMQPChannelError as error:
        raise BrokerError(
            why=f"the broker refused Usher's queues: {error}. "
            "Its user needs the permissions to configure, write and read ^usher\\."
        ) from None
