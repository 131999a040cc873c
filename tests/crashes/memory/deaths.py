"""Dead-lettering."""

from collections.abc import Sequence
from dataclasses import replace

from crashes.memory.queues import Message
from crashes.memory.quorum import QuorumQueue
from usher.broker.port import Envelope


def dead(envelope: Envelope, queue: QuorumQueue, message: Message, reason: str, at: int) -> Envelope:
    """The message as a dead letter. `at` is the time in seconds since 1970."""
    headers = dict(envelope.headers)
    deaths = deaths_of(envelope)
    first = next((d for d in deaths if (d["queue"], d["reason"]) == (queue.name, reason)), None)
    others = [d for d in deaths if d is not first]
    count = first["count"] if first else 0
    death: dict[str, object] = {
        "count": (count if isinstance(count, int) else 0) + 1,
        "reason": reason,
        "queue": queue.name,
        "time": at,
        "exchange": message.exchange,
        "routing-keys": [message.key],
    }
    if envelope.expires is not None:
        death["original-expiration"] = str(envelope.expires)
    if not deaths:
        place = {"reason": reason, "queue": queue.name, "exchange": message.exchange}
        headers |= {f"x-first-death-{name}": value for name, value in place.items()}
    headers["x-death"] = [death, *others]
    return replace(envelope, expires=None, headers=headers)


def deaths_of(envelope: Envelope) -> Sequence[dict[str, object]]:
    """The earlier deaths of the message, the latest first."""
    deaths = envelope.headers.get("x-death")
    return deaths if isinstance(deaths, list) else []
