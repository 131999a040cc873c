"""Checks over AMQP: the broker, its version, and every queue of the topology."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

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

PEEK = 10
_MISSING = "the queue is missing"
_FOREIGN = "something that is not an Usher message"


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
        return [fault("broker", str(wrong), "start it, or correct [broker] url")]


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
    if len(faults) == len(wanted) and all(finding.says == _MISSING for finding in faults):
        return [fault("queues", "Usher's queues do not exist yet", "start Usher: `usher up`")]
    found = faults or [ok("queues", f"all {len(wanted)} exist, with the right arguments")]
    for name, report in ((topology.UNROUTED, _unrouted), (topology.PARKED, _parked)):
        depth = seen[name]
        if isinstance(depth, int) and depth:
            found.append(report(depth, await _peek(link, name)))
    return found


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


def _unrouted(depth: int, moves: list[str]) -> Finding:
    return fault(
        topology.UNROUTED,
        f"{count(depth, 'message')} found no server queue: {'; '.join(moves)}",
        "restart deploys, which declares the queues, send these issues again (`usher send`), "
        "then purge usher.unrouted in the management console",
    )


def _parked(depth: int, moves: list[str]) -> Finding:
    if _FOREIGN in moves:
        return fault(
            topology.PARKED,
            f"{count(depth, 'message')}: {'; '.join(moves)}",
            "inspect the foreign messages in the management console (their header `reason` says more), and fix their "
            "sender; `usher parked` lists the others",
        )
    says = f"{count(depth, 'message')} of deploys that failed for the last time: {'; '.join(moves)}"
    issue = moves[0].partition(" ")[0] if moves else "ISSUE"
    return ok(topology.PARKED, f"{says}. `usher show {issue}` says why, `usher parked` lists all")


async def _peek(link: Link, name: str) -> list[str]:
    """The first moves in a queue. They return to it when the channel closes."""
    moves: list[str] = []
    async with _channel(link) as channel:
        queue = await channel.get_queue(name, ensure=False)
        while len(moves) < PEEK and (raw := await queue.get(no_ack=False, fail=False)):
            try:
                message = decode_message(raw.body)
                moves.append(f"{message.issue} to {message.server}")
            except Unreadable:
                moves.append(_FOREIGN)
    return list(dict.fromkeys(moves))
