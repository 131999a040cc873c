"""The demo's burst: after a meeting, one issue is moved once to Test and four times to Beta, and so are others."""

import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from usher.core.issues import Issue

SETTINGS = """\
[projects.abc]
statuses = ["test", "beta"]
[projects.def]
statuses = ["test", "beta"]
[servers]
name = "{status}.{project}.demo"
[window]
quiet = "5s"
cap = "15s"
"""
"""The windows take seconds. By default they close 2 minutes after the last message, at most 8 after the first."""

_STATUS_IDS = {"Test": "10002", "Beta": "10003"}


@dataclass(frozen=True, slots=True)
class Move:
    """A move in Jira, `at` seconds after the burst began."""

    at: float
    issue: Issue
    status: str

    @property
    def server(self) -> str:
        """The server that it deploys to in the demo's settings."""
        return f"{self.status.lower()}.{self.issue.project.lower()}.demo"

    def body(self, number: int) -> dict[str, Any]:
        """The webhook that Jira would send. `number` makes the change unique."""
        return {
            "timestamp": time.time_ns() // 1_000_000,
            "webhookEvent": "jira:issue_updated",
            "issue_event_type_name": "issue_generic",
            "user": {"accountId": "demo", "displayName": "Somebody after a meeting"},
            "issue": {
                "id": str(10_000 + self.issue.number),
                "self": f"https://demo.invalid/rest/api/2/issue/{10_000 + self.issue.number}",
                "key": str(self.issue),
                "fields": {"project": {"key": self.issue.project}, "status": {"name": self.status}},
            },
            "changelog": {
                "id": str(20_000 + number),
                "items": [
                    {
                        "field": "status",
                        "fieldtype": "jira",
                        "fieldId": "status",
                        "from": "3",
                        "fromString": "In Progress",
                        "to": _STATUS_IDS[self.status],
                        "toString": self.status,
                    }
                ],
            },
        }


def _move(at: float, key: str, status: str) -> Move:
    return Move(at, Issue.parse(key), status)


MOVES = (
    _move(0.0, "ABC-111", "Test"),
    _move(0.7, "ABC-111", "Beta"),
    _move(1.4, "DEF-7", "Beta"),
    _move(2.0, "ABC-113", "Beta"),
    _move(2.5, "ABC-112", "Test"),
    _move(3.1, "ABC-111", "Beta"),
    _move(3.8, "DEF-8", "Beta"),
    _move(4.5, "ABC-111", "Beta"),
    _move(5.3, "DEF-9", "Test"),
    _move(6.1, "ABC-115", "Beta"),
    _move(7.0, "ABC-111", "Beta"),
)


def expected(moves: Iterable[Move] = MOVES) -> dict[str, tuple[Issue, ...]]:
    """The expected deploy of each server: the union of its issues."""
    found: dict[str, set[Issue]] = {}
    for move in moves:
        found.setdefault(move.server, set()).add(move.issue)
    return {server: tuple(sorted(issues)) for server, issues in sorted(found.items())}
