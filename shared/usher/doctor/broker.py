"""Checks over AMQP: the broker, its version, and every queue of the topology."""

import re
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

from aio_pika.abc import AbstractChannel, AbstractConnection
from aiormq.exceptions import AMQPChannelError, AMQPError, ChannelNotFoundEntity, ChannelPreconditionFailed
from pydantic import SecretStr

from usher.broker import amqp, topology
from usher.broker.link import Link, connect
from usher.core.errors import BrokerError, Unreadable
from usher.core.events import decode_message
from usher.doctor.finding import Finding, fault, ok, unknown
from usher.local.choose import Broker
from usher.runtime.wording import count
from usher.settings import Settings

NAMED = 10
"""At most this many messages of a queue are named."""

LOOKED_AT = 500
"""At most this many parked messages are looked at, to find those that cannot be read."""

_MISSING = "the queue is missing"


@dataclass(frozen=True, slots=True)
class Peeked:
    """What is in a queue: the moves, and the messages that cannot be read, each with its id and the reason."""

    moves: list[str]
    unreadable: list[str]


async def look_at_broker(broker: Broker | None, settings: Settings) -> list[Finding]:
    """Check the broker and Usher's queues on it. Declares nothing and removes nothing."""
    if broker is None:
        return [
            unknown(
                "broker",
                "[broker] url is not set, and no `usher up` runs a broker in this directory",
                "start `usher up` here, or set [broker] url",
            )
        ]
    urls = settings.broker.url or (SecretStr(broker.url),)
    try:
        async with connect(settings.broker.model_copy(update={"url": urls}), "doctor") as link:
            version = _version(link)
            found = [ok("broker", f"RabbitMQ {version} answers at {link.address}, {broker.what}")]
            # Usher configures the brokers that it runs itself
            found += [] if broker.password_file else _consumer_timeout(version)
            return found + await _topology(link, settings)
    except BrokerError as wrong:
        says, _, do = str(wrong).rpartition("; ")
        return [fault("broker", says or do, do if says else "correct [broker] url")]


def _client(link: Link) -> AbstractConnection:
    """The underlying aio-pika connection: the doctor needs more than the port offers."""
    assert isinstance(link.consuming, amqp.Connection)  # noqa: S101 - `connect` dials with amqp
    return link.consuming.raw


def _version(link: Link) -> str:
    transport = _client(link).transport
    properties = transport.connection.server_properties if transport else {}
    version = properties.get("version", "of an unknown version")
    return version.decode() if isinstance(version, bytes) else str(version)


def _consumer_timeout(version: str) -> list[Finding]:
    """Before 3.12, the node's consumer timeout counts, not the queue's. Clients cannot read it."""
    numbers = re.match(r"(\d+)\.(\d+)", version)
    if numbers and (int(numbers[1]), int(numbers[2])) >= (3, 12):
        return []
    return [
        unknown(
            "consumer_timeout",
            f"RabbitMQ {version} uses the node's consumer_timeout, 30 minutes by default: "
            "if a window and its deploy together take longer, the turn is lost",
            "set consumer_timeout = 604800000 in its rabbitmq.conf, or use RabbitMQ 3.12 or later",
        )
    ]


async def _topology(link: Link, settings: Settings) -> list[Finding]:
    wanted = topology.queues(settings.catalogue, settings.retries.every_delay)
    seen = {queue.name: await _look(link, queue) for queue in wanted}
    faults = [finding for finding in seen.values() if isinstance(finding, Finding)]
    if len(missing_queues(faults)) == len(wanted):
        return [fault("queues", "Usher's queues do not exist yet", "start Usher: `usher up`")]
    found = faults or [ok("queues", f"all {len(wanted)} exist, with the right arguments")]
    if depth := _depth(seen[topology.UNROUTED]):
        found.append(_unrouted(depth, await _peek(link, topology.UNROUTED, NAMED)))
    if depth := _depth(seen[topology.PARKED]):
        found.append(_parked(depth, await _peek(link, topology.PARKED, LOOKED_AT)))
    return found


def _depth(seen: Finding | int) -> int:
    return seen if isinstance(seen, int) else 0


def missing_queues(findings: Iterable[Finding]) -> list[Finding]:
    """Those of the findings that say that a queue is missing."""
    return [finding for finding in findings if finding.says == _MISSING]


def together(findings: Iterable[Finding]) -> list[Finding]:
    """The findings, with one instead of several missing queues."""
    findings = list(findings)
    names = [finding.about for finding in missing_queues(findings)]
    if len(names) < 2:
        return findings
    says = f"{count(len(names), 'queue')} are missing: {', '.join(names)}"
    do = (
        "start the services, or restart them: they declare these queues. Messages that found no server queue meanwhile "
        "are in usher.unrouted: send those issues again"
    )
    return [fault("queues", says, do), *(finding for finding in findings if finding.about not in names)]


@asynccontextmanager
async def _channel(link: Link) -> AsyncIterator[AbstractChannel]:
    """A separate channel for one check, because the broker closes the channel if the check fails."""
    channel = await _client(link).channel(publisher_confirms=False)
    try:
        yield channel
    finally:
        with suppress(AMQPError, OSError, RuntimeError):
            await channel.close()


async def _look(link: Link, queue: topology.Queue) -> Finding | int:
    """The number of messages that are ready in a queue, or a fault."""
    try:
        async with _channel(link) as channel:
            found = await channel.declare_queue(queue.name, passive=True)
            depth = found.declaration_result.message_count or 0
        async with _channel(link) as channel:
            await channel.declare_queue(queue.name, durable=True, arguments=dict(queue.arguments))
    except ChannelNotFoundEntity:
        return _missing(queue.name)
    except ChannelPreconditionFailed as error:
        return fault(
            queue.name,
            f"the queue has different arguments than Usher's ({error})",
            "let it drain, delete it in the management console, then restart deploys",
        )
    except AMQPChannelError as error:
        raise BrokerError(why=f"the broker refuses access to {queue.name}: {error}; give its user ^usher\\.") from None
    return depth


def _missing(name: str) -> Finding:
    if not name.startswith(topology.server_queue("")):
        return fault(name, _MISSING, "restart the services, which declare it again")
    return fault(
        name,
        _MISSING,
        "restart deploys, which declares it again. Meanwhile, messages go to usher.unrouted: send those issues again",
    )


def _unrouted(depth: int, peeked: Peeked) -> Finding:
    return fault(
        topology.UNROUTED,
        f"{count(depth, 'message')} found no server queue: {'; '.join([*peeked.moves, *peeked.unreadable])}",
        "restart deploys, which declares the queues, send these issues again (`usher send`), "
        "then purge usher.unrouted in the management console",
    )


def _parked(depth: int, peeked: Peeked) -> Finding:
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
    async with _channel(link) as channel:
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
