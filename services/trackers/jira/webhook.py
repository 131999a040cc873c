"""Parses Jira's webhooks: headers and a body become one of a closed set of values. No I/O, and no input raises."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import islice

from trackers.jira.bodies import Unparsable, load, millis, objects, plain, shown, under, word
from trackers.jira.changes import NOBODY, Person, Renamed, identity, person, renamed
from trackers.jira.placement import NoServer, place
from usher.core.errors import BadIssue
from usher.core.issues import Issue
from usher.core.names import fold
from usher.core.servers import Server, Servers

EVENTS = ("jira:issue_updated", "jira:issue_created")

MAX_TARGETS = 100
"""At most this many statuses are read from one change. No change of Jira's has more."""

_MAX_KEY_LENGTH = 300
_NO_FIELD = '; an item of changelog.items has no fieldId: write "fieldId": "status" if it changes the status'
_NO_KEY = 'issue.key is missing; the body must contain "issue": {"key": "ABC-123"}'


@dataclass(frozen=True, slots=True)
class Move:
    """An issue was moved to a status that a server deploys, at `moved_at` (ms; None if the body has no time).

    `identity` is the same each time Jira sends the move; None if the body has nothing to derive it from. `by` moved it.
    """

    issue: Issue
    server: Server
    identity: tuple[str, ...] | None
    moved_at: int | None
    by: Person


@dataclass(frozen=True, slots=True)
class Moved:
    """A status change that servers deploy: one move, or several if the change went through several statuses."""

    moves: tuple[Move, ...]
    sent_at: int | None
    renamed: Renamed | None = None


@dataclass(frozen=True, slots=True)
class IgnoredMove:
    """A status change that no server deploys; `accept` are the lines in the settings that would accept it, if any.

    `identity` and `by` are as in a Move.
    """

    issue: str
    status: str
    reason: str
    accept: str | None
    sent_at: int | None
    identity: tuple[str, ...] | None = None
    by: Person = NOBODY
    renamed: Renamed | None = None


@dataclass(frozen=True, slots=True)
class Ignored:
    """Not a status change, and why."""

    reason: str
    sent_at: int | None
    renamed: Renamed | None = None


@dataclass(frozen=True, slots=True)
class NotJson:
    """The body is not JSON."""

    reason: str


Reading = Moved | IgnoredMove | Ignored | NotJson
"""What a webhook says. `sent_at` (ms) is the time in the body; the caller may check that it is recent. `renamed` is set
if the change gave the issue another key."""


@dataclass(frozen=True, slots=True)
class _Target:
    """The status that a change leads to, by Jira's id or name; at least one of them is set."""

    id: str | None
    name: str | None

    @property
    def label(self) -> str:
        return self.name or self.id or ""


def read(headers: Mapping[str, str], body: bytes, servers: Servers) -> Reading:
    """Parse a webhook. Headers may be in any case."""
    try:
        data = load(body)
    except Unparsable as fault:
        return NotJson(str(fault.facts["why"]))
    if not isinstance(data, dict):
        return Ignored("the body is JSON, but not an object", None)
    reading = _read(headers, data, servers)
    former = renamed(headers, data) if data.get("webhookEvent") in EVENTS else None
    return replace(reading, renamed=former) if former else reading


def _read(headers: Mapping[str, str], data: dict[str, object], servers: Servers) -> Moved | IgnoredMove | Ignored:
    sent_at = millis(data.get("timestamp"))
    targets = _targets(data)
    if isinstance(targets, str):
        return Ignored(targets, sent_at)
    key = under(data, "issue", "key")
    if key is None:
        return IgnoredMove("?", plain(targets[0].label), _NO_KEY, None, sent_at)
    try:
        # shortened for the error text; a key of that length is invalid anyway
        issue = Issue.parse(key[:_MAX_KEY_LENGTH] if isinstance(key, str) else word(key))
    except BadIssue as bad:
        known = word(key) or "?"
        same = identity(headers, data, known, targets[0].label)
        return IgnoredMove(plain(known), plain(targets[0].label), str(bad), None, sent_at, same, person(data))
    moves: dict[Server, Move] = {}
    ignored: list[IgnoredMove] = []
    by = person(data)
    for target in targets:
        found, same = place(issue, target.id, target.name, servers), identity(headers, data, str(issue), target.label)
        if isinstance(found, NoServer):
            label = plain(target.label)
            ignored.append(IgnoredMove(str(issue), label, found.reason, found.accept, sent_at, same, by))
        else:
            moves.setdefault(found, Move(issue, found, same, sent_at, by))
    return Moved(tuple(moves.values()), sent_at) if moves else ignored[0]


def _targets(data: dict[str, object]) -> tuple[_Target, ...] | str:
    """The statuses that the body's changes lead to, at least one; or why there is none."""
    event = word(data.get("webhookEvent"))
    if event is None and (name := word(under(data, "transition", "to_status"))):
        return (_Target(None, name),)
    if event is not None and event not in EVENTS:
        return f"{shown(event)} is not a status change"
    items = list(objects(under(data, "changelog", "items")))
    changes = [item for item in items if _is_status(item)]
    if not changes:
        why = "no status was changed" if event else "no webhookEvent, and no status was changed"
        return f"{why}{_NO_FIELD}" if any(map(_lacks_field, items)) else why
    targets = dict.fromkeys(_Target(word(item.get("to")), word(item.get("toString"))) for item in changes)
    named = (target for target in targets if target.label)
    return tuple(islice(named, MAX_TARGETS)) or "a status was changed, but the body does not name the new status"


def _is_status(item: dict[str, object]) -> bool:
    """Cloud sends the field's id, and its name in any language. A self-hosted Jira sends only the name."""
    if isinstance(field_id := item.get("fieldId"), str):
        return field_id == "status"
    return item.get("field") == "status" and item.get("fieldtype") == "jira"


def _lacks_field(item: dict[str, object]) -> bool:
    """Whether an item may be meant as a change of the status, but does not say so. No product of Jira's sends one."""
    named = item.get("field") is None or fold(word(item.get("field")) or "") == "status"
    return named and item.get("fieldtype") != "custom" and not isinstance(item.get("fieldId"), str)
