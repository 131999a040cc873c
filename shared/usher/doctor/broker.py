"""Checks over AMQP: the broker, its version, and every queue of the topology."""

import re
from collections.abc import Iterable

from aiormq.exceptions import AMQPChannelError, ChannelNotFoundEntity, ChannelPreconditionFailed
from pydantic import SecretStr

from usher.broker import topology
from usher.broker.link import Link, connect
from usher.core.errors import BrokerError
from usher.doctor.contents import check_channel, client_of, look_into_parked, look_into_unrouted
from usher.doctor.finding import Finding, fault, ok, unknown
from usher.local.choose import Broker
from usher.runtime.wording import count
from usher.settings import Settings

_MISSING = "the queue is missing"


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


def _version(link: Link) -> str:
    transport = client_of(link).transport
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
    for name, look_into in ((topology.UNROUTED, look_into_unrouted), (topology.PARKED, look_into_parked)):
        depth = seen[name]
        if isinstance(depth, int) and depth:
            found.append(await look_into(link, depth))
    return found


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


async def _look(link: Link, queue: topology.Queue) -> Finding | int:
    """The number of messages that are ready in a queue, or a fault."""
    try:
        async with check_channel(link) as channel:
            found = await channel.declare_queue(queue.name, passive=True)
            depth = found.declaration_result.message_count or 0
        async with check_channel(link) as channel:
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
        raise BrokerError(
            why=f"the broker refuses access to {queue.name}: {error}; "
            "its user needs the permissions to configure, write and read ^usher\\."
        ) from None
    return depth


def _missing(name: str) -> Finding:
    if not name.startswith(topology.server_queue("")):
        return fault(name, _MISSING, "restart the services, which declare it again")
    return fault(
        name,
        _MISSING,
        "restart deploys, which declares it again. Meanwhile, messages go to usher.unrouted: send those issues again",
    )
