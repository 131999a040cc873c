"""Checks over AMQP of what is in the queues for messages that nobody could deploy."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

from aio_pika.abc import AbstractChannel, AbstractConnection
from aiormq.exceptions import AMQPError

from usher.broker import amqp, topology
from usher.broker.link import Link
from usher.core.errors import Unreadable
from usher.core.events import decode_message
from usher.doctor.finding import Finding, fault, ok
from usher.runtime.wording import count

NAMED = 10
"""At most this many messages of a queue are named."""

LOOKED_AT = 500
"""At most this many parked messages are looked at, to find those that cannot be read."""


@dataclass(frozen=True, slots=True)
class Peeked:
    """What is in a queue: the moves, and the messages that cannot be read, each with its id and the reason."""

    moves: list[str]
    unreadable: list[str]


def client_of(link: Link) -> AbstractConnection:
    """The underlying aio-pika connection: the doctor needs more than the port offers."""
    assert isinstance(link.consuming, amqp.Connection)  # noqa: S101 - `connect` dials with amqp
    return link.consuming.raw


@asynccontextmanager
async def check_channel(link: Link) -> AsyncIterator[AbstractChannel]:
    """A separate channel for one check, because the broker closes the channel if the check fails."""
    channel = await client_of(link).channel(publisher_confirms=False)
    try:
        yield channel
    finally:
        with suppress(AMQPError, OSError, RuntimeError):
            await channel.close()


async def look_into_unrouted(link: Link, depth: int) -> Finding:
    """Report the messages that found no server queue. There are `depth` of them."""
    peeked = await _peek(link, topology.UNROUTED, NAMED)
    return fault(
        topology.UNROUTED,
        f"{count(depth, 'message')} found no server queue: {'; '.join([*peeked.moves, *peeked.unreadable])}",
        "restart deploys, which declares the queues, send these issues again (`usher send`), "
        "then purge usher.unrouted in the management console",
    )


async def look_into_parked(link: Link, depth: int) -> Finding:
    """Report the parked messages, of which there are `depth`. Only those that cannot be read are a fault."""
    peeked = await _peek(link, topology.PARKED, LOOKED_AT)
    if peeked.unreadable:
        return fault(
            topology.PARKED,
            f"{len(peeked.unreadable)} of {count(depth, 'message')} cannot be read: "
            f"{'; '.join(peeked.unreadable[:NAMED])}",
            "find out who sent them, then remove them in the management console; `usher parked` lists everything",
        )
    says = f"{count(depth, 'message')} of deploys that failed for the last time: {'; '.join(peeked.moves[:NAMED])}"
    issue = peeked.moves[0].partition(" ")[0] if peeked.moves else "ISSUE"
    return ok(topology.PARKED, f"{says}. `usher show {issue}` says why, `usher parked` lists all")


async def _peek(link: Link, name: str, limit: int) -> Peeked:
    """The first messages in a queue, at most `limit`. They return to it when the channel closes."""
    moves: list[str] = []
    unreadable: list[str] = []
    async with check_channel(link) as channel:
        queue = await channel.get_queue(name, ensure=False)
        for _ in range(limit):
            raw = await queue.get(no_ack=False, fail=False)
            if raw is None:
                break
            try:
                message = decode_message(raw.body)
                moves.append(f"{message.issue} to {message.server}")
            except Unreadable as fault:
                unreadable.append(f"{raw.message_id or 'a message without an id'} ({raw.headers.get('reason', fault)})")
    return Peeked(list(dict.fromkeys(moves)), unreadable)
