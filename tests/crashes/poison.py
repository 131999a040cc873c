"""Poisoned entries of the journal: what somebody who may write to the broker can do to a server."""

import secrets
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from crashes.memory.queues import Message
from usher.broker.port import Envelope
from usher.broker.topology import FACTS, JOURNAL
from usher.core.errors import Unreadable
from usher.core.events import DeployTaken, decode, encode
from usher.core.messages import BackMessage


def poison(broker: Any, what: str, server: str, now: int) -> None:
    """Write the entry to the journal. `what` is a key of ENTRIES, and `now` is in ms."""
    if message := _last_message(broker, server):
        body = ENTRIES[what](message, now)
        envelope = Envelope(body, message_id=secrets.token_hex(16), type=what)
        broker.store.publish(Message(envelope, FACTS, what))


def _last_message(broker: Any, server: str) -> BackMessage | None:
    for _, envelope in reversed(broker.entries(JOURNAL)):
        with suppress(Unreadable):
            event = decode(envelope.body)
            if isinstance(event, BackMessage) and event.server == server:
                return event
    return None


def _taken(message: BackMessage, now: int, fence: int) -> bytes:
    deploy = secrets.token_hex(6)
    return encode(
        DeployTaken(deploy=deploy, server=message.server, holder="?", fence=fence, messages=(message.id,), taken_at=now)
    )


ENTRIES: dict[str, Callable[[BackMessage, int], bytes]] = {
    "poison fence": lambda message, now: _taken(message, now, 2**63 - 1),
    "poison taking": lambda message, now: _taken(message, now, now),
    "poison text": lambda message, now: b'{"kind":"deploy.taken"',
}
