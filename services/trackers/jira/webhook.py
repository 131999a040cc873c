"""Jira's webhooks, read: headers and bytes in, one of a closed set of values out. No I/O, and no input raises."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice

from trackers.jira.bodies import Unparsable, load, millis, objects, plain, shown, site, under, word
from trackers.jira.placement import NotNoticed, place
from usher.core.errors import BadIssue
from usher.core.issues import Issue
from usher.core.servers import Server, Servers, fold

IDENTIFIER = "x-atlassian-webhook-identifier"
EVENTS = ("jira:issue_updated", "jira:issue_created")

MOST = 100
"""Different statuses that one change goes through, at the most: what names more is no change of Jira's."""

_LONGEST_KEY = 300


@dataclass(frozen=True, slots=True)
class Move:
    """An issue came into a status that a server deploys, at `moved_at` (ms, if the body says when).

    `identity` is the same however often the move is told; None when the body has nothing that could tell.
    """

    issue: Issue
    server: Server
    identity: tuple[str, ...] | None
    moved_at: int | None


@dataclass(frozen=True, slots=True)
class Moved:
    """A change of status that servers deploy: one move, or several when the change went through several statuses."""

    moves: tuple[Move, ...]
    told_at: int | None


@dataclass(frozen=True, slots=True)
class IgnoredMove:
    """A change of status that no server deploys; `accept` is the settings line that would accept it, if one can."""

    issue: str
    status: str
    reason: str
    accept: str | None
    told_at: int | None


@dataclass(frozen=True, slots=True)
class Ignored:
    """No change of status, and why we think so."""

    reason: str
    told_at: int | None


@dataclass(frozen=True, slots=True)
class NotJson:
    """No JSON."""

    reason: str


Reading = Moved | IgnoredMove | Ignored | NotJson
"""What a webhook says. `told_at` (ms) is the time in the body, for whoever checks that it is recent."""


@dataclass(frozen=True, slots=True)
class _Target:
    """The status that a change leads to, as Jira names it: at least one of both."""

    id: str | None
    name: str | None

    @property
    def said(self) -> str:
        return self.name or self.id or ""


def read(headers: Mapping[str, str], body: bytes, servers: Servers) -> Reading:
    """What a delivery of Jira's says. Headers may be in any case."""
    try:
        data = load(body)
    except Unparsable as fault:
        return NotJson(str(fault.facts["why"]))
    if not isinstance(data, dict):
        return Ignored("the body is JSON, but no object", None)
    told_at = millis(data.get("timestamp"))
    targets = _targets(data)
    if isinstance(targets, str):
        return Ignored(targets, told_at)
    key = under(data, "issue", "key")
    try:
        # cut before it is shown to anybody; what is longer is no key in any case
        issue = Issue.parse(key[:_LONGEST_KEY] if isinstance(key, str) else word(key))
    except BadIssue as bad:
        return IgnoredMove(plain(word(key) or "?"), plain(targets[0].said), str(bad), None, told_at)
    moves: dict[Server, Move] = {}
    unnoticed: list[IgnoredMove] = []
    for target in targets:
        found = place(issue, target.id, target.name, servers)
        if isinstance(found, NotNoticed):
            unnoticed.append(IgnoredMove(str(issue), plain(target.said), found.reason, found.accept, told_at))
        else:
            moves.setdefault(found, Move(issue, found, _identity(headers, data, issue, target), told_at))
    return Moved(tuple(moves.values()), told_at) if moves else unnoticed[0]


def _targets(data: dict[str, object]) -> tuple[_Target, ...] | str:
    """Where the body's changes of status lead to, at least one; or why there is none."""
    event = word(data.get("webhookEvent"))
    if event is None and (name := word(under(data, "transition", "to_status"))):
        return (_Target(None, name),)
    if event is not None and event not in EVENTS:
        return f"{shown(event)} is no change of an issue's status"
    items = [item for item in objects(under(data, "changelog", "items")) if _is_status(item)]
    if not items:
        return "no status was changed" if event else "no webhookEvent, and no status was changed"
    targets = dict.fromkeys(_Target(word(item.get("to")), word(item.get("toString"))) for item in items)
    said = (target for target in targets if target.said)
    return tuple(islice(said, MOST)) or "a status was changed, but the body does not say to which"


def _is_status(item: dict[str, object]) -> bool:
    """Cloud names the field's id, and the field itself in any language; a self-hosted Jira only names the field."""
    if isinstance(field_id := item.get("fieldId"), str):
        return field_id == "status"
    return item.get("field") == "status" and item.get("fieldtype") == "jira"


def _identity(
    headers: Mapping[str, str], data: dict[str, object], issue: Issue, target: _Target
) -> tuple[str, ...] | None:
    host = site(under(data, "issue", "self")) or site(under(data, "issue", "fields", "project", "self"))
    issue_id, change_id = word(under(data, "issue", "id")), word(under(data, "changelog", "id"))
    if issue_id and change_id:
        return ("change", host, issue_id, change_id)
    delivery = next((value for name, value in headers.items() if name.lower() == IDENTIFIER), "").strip()
    if delivery:
        return ("delivery", host, str(issue), delivery)
    told_at = millis(data.get("timestamp"))
    return None if told_at is None else ("telling", host, str(issue), fold(target.said), str(told_at))
