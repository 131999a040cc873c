"""Readiness: whether a process can do its work now, and if not, why."""

from collections.abc import Awaitable, Callable

from usher.broker.publisher import Publisher

Unready = Callable[[], Awaitable[str | None]]
"""Why a process cannot do its work now, in a sentence; None if it can."""

STOPPING = "it is stopping"
NO_CONNECTION = "no connection to the broker; Usher reconnects by itself"
NO_ANSWER = "the broker is not confirming messages; see the log, and the broker's memory and disk alarms"


async def unconfirmed(publisher: Publisher | None) -> str | None:
    """Why the publisher cannot publish (None means that there is no connection). Returns None if it can."""
    if publisher is None:
        return NO_CONNECTION
    return None if await publisher.can_publish() else NO_ANSWER
