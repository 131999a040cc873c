"""The types of the services' HTTP answers. Keys that a newer service adds are ignored."""

from datetime import UTC, datetime
from typing import Annotated

from pydantic import AwareDatetime, BaseModel, ConfigDict, PlainSerializer

from usher.core.issues import Issue
from usher.core.orders import HoldOrder
from usher.core.scopes import Scope

_LATEST = 253_402_300_799_999


def time(millis: int) -> datetime:
    """Convert milliseconds since 1970 to a time in UTC. Times after the year 9999 become its end."""
    return datetime.fromtimestamp(min(millis, _LATEST) // 1000, UTC).replace(microsecond=millis % 1000 * 1000)


def rfc3339(time: datetime) -> str:
    """Format a time as the APIs do: `2026-11-22T21:40:00.123Z`."""
    return time.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


Time = Annotated[AwareDatetime, PlainSerializer(rfc3339, when_used="json-unless-none")]


class Answer(BaseModel):
    """What all answers have in common: they are immutable."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class Health(Answer):
    """A service that answers. It uses the settings as they were at `started_at`."""

    status: str
    started_at: Time | None = None


class Running(Answer):
    """The running deploy of a server."""

    deploy: str
    issues: tuple[Issue, ...]
    holder: str
    since: Time


class Last(Answer):
    """The last deploy of a server that ended."""

    deploy: str
    outcome: str
    ended_at: Time
    rehearsed: bool = False


class Hold(Answer):
    """A hold that stands: what is held, since when, who holds it, why, and until when.

    `scope` is a pattern over `status.project`, and `held` says it in words. Without `until`, it stands until somebody
    releases it. A `warning` stops nothing.
    """

    id: str
    scope: str
    held: str
    by: str
    reason: str
    since: Time
    until: Time | None = None
    warning: bool = False

    @classmethod
    def of(cls, hold: HoldOrder) -> "Hold":
        """Convert the order that placed the hold."""
        return cls(
            id=hold.id,
            scope=hold.scope,
            held=Scope.of(hold.scope).words,
            by=hold.by,
            reason=hold.reason,
            since=time(hold.at),
            until=None if hold.until is None else time(hold.until),
            warning=hold.warning,
        )


class ServerState(Answer):
    """The current state of a server.

    `state` is one of these, the first that is so, and `reason` says why in words:

    - stuck: the command of a deploy cannot be killed
    - recovering: a process was lost, and its command may still be running
    - deploying; or overdue, if the deploy should have ended long ago but has not reported its end
    - held: a hold stops it; messages collect until the hold has ended
    - waiting: messages are pending
    - failing: the last deploy did not pass, and a message is failed, retrying or parked
    - retrying, parked: the last deploy passed, but a message waits for its next attempt, or for a person
    - idle

    It has been so since `since`, and changes by itself at `next_change`, because of `next_reason`. Where these are
    missing, they are not known. `by` is the person who caused it, if a person did. Another message moves the end of an
    open window, at most to `window_limit_at`. `command` is what would run now for the waiting messages. `retried_at` is
    when the first of the `retrying` issues is due. `holds` are the holds and warnings on the server, oldest first.
    """

    server: str
    project: str
    status: str
    state: str
    waiting: tuple[Issue, ...]
    waiting_messages: int
    command: tuple[str, ...] | None
    rehearsed: bool
    window_opened_at: Time | None
    window_closes_at: Time | None
    running: Running | None
    last: Last | None
    retrying: tuple[Issue, ...] = ()
    retried_at: Time | None = None
    parked: tuple[Issue, ...] = ()
    reason: str = ""
    since: Time | None = None
    next_change: Time | None = None
    next_reason: str | None = None
    window_limit_at: Time | None = None
    by: str | None = None
    holds: tuple[Hold, ...] = ()


class MessageState(Answer):
    """The current state of a message.

    `received` is how often the same move was received. `deploy` is the deploy that covers the message; `rehearsed` says
    whether that was a rehearsal. `origin` is the id of the move's first attempt. A later attempt is due at `due_at`.
    `by` is who ordered the last change, if a person did. `moved_by` is who moved the issue, or the address that
    reported it; `moved_by_id` is the tracker's id of that person.
    """

    id: str
    issue: Issue
    project: str
    status: str
    server: str
    state: str
    source: str
    attempt: int
    queued_at: Time
    moved_at: Time | None
    changed_at: Time
    deploy: str | None
    rehearsed: bool = False
    received: int
    origin: str | None = None
    due_at: Time | None = None
    by: str | None = None
    moved_by: str | None = None
    moved_by_id: str | None = None


class Deploy(Answer):
    """A deploy. `outcome` is None while it runs. `messages` is the number of messages that it covers.

    `ended_at` is None while it runs, and also if it was interrupted and nobody saw when.

    If `truncated`, the stored output is only the end. The complete output is in the file `log`.
    """

    id: str
    server: str
    outcome: str | None
    reason: str | None
    exit_code: int | None
    rehearsed: bool
    command: tuple[str, ...] | None
    issues: tuple[Issue, ...]
    messages: int
    holder: str | None
    fence: int | None
    taken_at: Time | None
    started_at: Time | None
    ended_at: Time | None
    truncated: bool
    log: str | None


class IgnoredMove(Answer):
    """A move that trackers ignored, why, and the lines in the settings that would accept it."""

    id: str
    at: Time
    issue: str
    status: str
    reason: str
    accept: str | None
    moved_by: str | None


class ParkedMessage(MessageState):
    """A parked message, and how the deploy that covered it ended."""

    outcome: str | None
    exit_code: int | None
    reason: str | None


class UnreadableMessage(Answer):
    """A parked message that Usher cannot read: its id, why, its size in bytes, and how it begins."""

    id: str
    reason: str
    size: int
    beginning: str
