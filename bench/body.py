"""A webhook as Jira Cloud sends it, about 7 KB, cut into pieces around what differs from move to move."""

import hashlib
import itertools
import json
import string
import time
from collections.abc import Sequence

from usher.core.issues import Issue
from usher.core.messages import BackMessage
from usher.core.servers import Server

PROJECTS = tuple(f"P{letter}" for letter in "ABCDEFGHIJ")
STATUSES = ("beta", "test")
SERVERS = tuple(itertools.product(PROJECTS, STATUSES))
"""Each status of each project is one server: 20 in all."""

Servers = Sequence[tuple[str, str]]
"""The project and the status of each server."""

IDS = {"beta": "10003", "test": "10004"}
"""Jira's ids of the statuses. Usher's example settings know 10003 as beta."""


def servers(count: int) -> Servers:
    """That many servers: two statuses of each project."""
    projects = (f"P{''.join(letters)}" for letters in itertools.product(string.ascii_uppercase, repeat=3))
    return list(itertools.islice(itertools.product(projects, STATUSES), count))


def message(server: Server, number: int, at: int) -> BackMessage:
    """What `trackers` publishes for such a webhook, queued at `at` (ms). The number is the issue's, too.

    Two hundred people move issues, in turn.
    """
    person = number % 200
    return BackMessage.of(
        Issue(server.project.upper(), number),
        server,
        source="jira",
        now=at,
        identity=(str(number),),
        moved_at=at,
        moved_by=f"Jane Doe {person}",
        moved_by_id=hashlib.sha256(bytes([person])).hexdigest()[:24],
    )


def pieces(project: str, status: str) -> list[str]:
    """The parts of a body. The number of the move belongs between each two of them."""
    mark = "~NUMBER~"
    person = {
        "self": "https://example.atlassian.net/rest/api/2/user?accountId=5b10a2844c20165700ede21g",
        "accountId": "5b10a2844c20165700ede21g",
        "avatarUrls": {f"{size}x{size}": f"https://avatar.example.net/JD-{size}.png" for size in (48, 24, 16, 32)},
        "displayName": "Jane Doe",
        "active": True,
        "timeZone": "Europe/Berlin",
        "accountType": "atlassian",
    }
    fields = {
        "statuscategorychangedate": "2026-11-26T10:14:05.123+0100",
        "issuetype": {"id": "10002", "name": "Task", "subtask": False, "hierarchyLevel": 0},
        "summary": "The invoice shows the amount without the discount when the currency is changed twice",
        "description": "Steps:\n1. Open an invoice.\n2. Change its currency twice.\n\nExpected: the discount stays. "
        * 26,
        "priority": {"name": "Medium", "id": "3", "iconUrl": "https://example.atlassian.net/images/icons/medium.svg"},
        "project": {"id": "10000", "key": project, "name": "Project of invoices", "projectTypeKey": "software"},
        "labels": ["invoice", "currency", "regression"],
        "components": [{"id": str(number), "name": f"component-{number}"} for number in range(8)],
        "creator": person,
        "reporter": person,
        "assignee": person,
        **{f"customfield_{number}": None for number in range(10000, 10060)},
        "status": {"name": status, "id": IDS[status], "statusCategory": {"id": 4, "key": "indeterminate"}},
    }
    body = {
        "timestamp": round(time.time() * 1000),
        "webhookEvent": "jira:issue_updated",
        "issue_event_type_name": "issue_generic",
        "user": person,
        "issue": {
            "id": f"1{mark}",
            "self": f"https://example.atlassian.net/rest/api/2/issue/1{mark}",
            "key": f"{project}-{mark}",
            "fields": fields,
        },
        "changelog": {
            "id": f"2{mark}",
            "items": [
                {
                    "field": "status", "fieldtype": "jira", "fieldId": "status",
                    "from": "10001", "fromString": "In Progress", "to": IDS[status], "toString": status,
                }
            ],
        },
    }  # fmt: skip
    return json.dumps(body, separators=(",", ":")).split(mark)
