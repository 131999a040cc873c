"""Poisoned entries of the journal: what somebody who may write to the broker can do to a server."""

import secrets
from collections.abc import Callable, Iterator
from typing import Any

from crashes.memory.queues import Message
from usher.broker.port import Envelope
from usher.broker.topology import FACTS, JOURNAL
from usher.core.errors import Unreadable
from usher.core.events import DeployTaken, Event, TurnGivenBack, decode, encode
from usher.core.messages import BackMessage

AGES = 10**18
"""A take-over wait in milliseconds that no server survives."""


def poison(broker: Any, what: str, server: str, now: int) -> None:
    """Write the entry to the journal. `what` is a key of ENTRIES, and `now` is in ms."""
    for message in list(_last_message(broker, server)):
        body = ENTRIES[what](message, now)
        envelope = Envelope(body, message_id=secrets.token_hex(16), type=what)
        broker.store.publish(Message(envelope, FACTS, what))


def _last_message(broker: Any, server: str) -> Iterator[BackMessage]:
    """The server's last message, if there is one."""
    for _, envelope in reversed(broker.entries(JOURNAL)):
        try:
            event: Event = decode(envelope.body)
        except Unreadable:
            continue
        if isinstance(event, BackMessage) and event.server == server:
            yield event
            return


def _taken(message: BackMessage, now: int, fence: int) -> bytes:
    deploy = secrets.token_hex(6)
    return encode(
        DeployTaken(deploy=deploy, server=message.server, holder="?", fence=fence, messages=(message.id,), taken_at=now)
    )


def _given_back(message: BackMessage) -> bytes:
    # for the next delivery, whichever it is
    return encode(
        TurnGivenBack(server=message.server, message=message.id, holder="?", wait_left=AGES, delivery_count=0)
    )


ENTRIES: dict[str, Callable[[BackMessage, int], bytes]] = {
    "poison fence": lambda message, now: _taken(message, now, 2**63 - 1),
    "poison taking": lambda message, now: _taken(message, now, now),
    "poison wait": lambda message, now: _given_back(message),
    "poison text": lambda message, now: b'{"kind":"deploy.taken"',
}
