"""Ignored moves: what the tracker reported and no server deploys. They are kept, so that a person can see why."""

from typing import Literal

from pydantic import TypeAdapter

from usher.core.messages import MessageId, Millis, Name
from usher.core.versions import Versioned, decoded


class IgnoredMove(Versioned):
    """A move that was ignored at `at`, and why. The lines in `accept`, in the settings, would accept it.

    `issue` and `status` are as the tracker wrote them, in printable form.
    """

    kind: Literal["move.ignored"] = "move.ignored"
    id: MessageId
    at: Millis
    issue: str
    status: str
    reason: str
    accept: str | None = None
    moved_by: Name | None = None


_IGNORED: TypeAdapter[IgnoredMove] = TypeAdapter(IgnoredMove)


def decode_ignored(body: bytes) -> IgnoredMove:
    """Decode an ignored move. Raises Unreadable."""
    return decoded(_IGNORED, body)
