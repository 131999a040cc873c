"""What a change says besides the new status: who made it, what identifies it, and the former key of the issue."""

from collections.abc import Mapping
from dataclasses import dataclass

from trackers.jira.bodies import millis, objects, plain, site, under, word
from usher.core.errors import BadIssue
from usher.core.issues import Issue

IDENTIFIER = "x-atlassian-webhook-identifier"


@dataclass(frozen=True, slots=True)
class Person:
    """A person in Jira: the display name and the account id, as far as the body has them. Both can be shown as is."""

    name: str | None = None
    id: str | None = None


NOBODY = Person()


@dataclass(frozen=True, slots=True)
class Renamed:
    """The change moved an issue to another project, and so gave it another key. `former` is the key that it had.

    `identity` is the same each time Jira sends the change; None if the body has nothing to derive it from.
    """

    former: Issue
    key: str
    identity: tuple[str, ...] | None
    by: Person


def person(data: dict[str, object]) -> Person:
    """Who made the change. Cloud sends an account id; a self-hosted Jira sends a key and a user name.

    Source: https://developer.atlassian.com/server/jira/platform/webhooks/
    """
    user = under(data, "user")
    name = word(under(user, "displayName")) or word(under(user, "name"))
    known = word(under(user, "accountId")) or word(under(user, "key")) or word(under(user, "name"))
    return Person(name and plain(name), known and plain(known))


def renamed(headers: Mapping[str, str], data: dict[str, object]) -> Renamed | None:
    """The former key of the issue, if this change gave it another one."""
    for item in objects(under(data, "changelog", "items")):
        if item.get("field") == "Key" and item.get("fieldtype") == "jira":
            former, key = word(item.get("fromString")), word(item.get("toString"))
            if former and key and former != key:
                try:
                    issue = Issue.parse(former)
                except BadIssue:
                    return None
                return Renamed(issue, plain(key), identity(headers, data, key, "renamed"), person(data))
    return None


def identity(headers: Mapping[str, str], data: dict[str, object], key: str, label: str) -> tuple[str, ...] | None:
    """What identifies a change of the issue with that key. `label` tells several changes in one body apart.

    The ids of messages and orders are derived from it, so it must not change between versions. For that reason, the
    label is not folded as names are compared today, but as it has always been here.
    """
    host = site(under(data, "issue", "self")) or site(under(data, "issue", "fields", "project", "self"))
    issue_id, change_id = word(under(data, "issue", "id")), word(under(data, "changelog", "id"))
    if issue_id and change_id:
        return ("change", host, issue_id, change_id)
    delivery = next((value for name, value in headers.items() if name.lower() == IDENTIFIER), "").strip()
    if delivery:
        return ("delivery", host, key, delivery)
    sent_at = millis(data.get("timestamp"))
    return None if sent_at is None else ("telling", host, key, label.strip().casefold(), str(sent_at))
