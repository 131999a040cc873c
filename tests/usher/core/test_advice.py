"""Advice: the lines in the settings that would accept a move. They are sufficient, and the same everywhere."""

import json
import tomllib
from typing import Any

import pytest

from trackers.jira.webhook import IgnoredMove, Moved, read
from usher.cli.explanation import explain
from usher.settings import Settings

WRITTEN = """
[projects.abc]
[projects.def]
statuses = ["test", "beta"]
[statuses.beta]
jira = ["Beta", "10003"]
"""


def settings_with(lines: str) -> Settings:
    """The settings, with these lines added. A section that exists already is replaced."""
    table = tomllib.loads(WRITTEN)
    for name, sections in tomllib.loads(lines).items():
        table[name] |= sections
    return Settings.model_validate(table)


def webhook(issue: str, status: str) -> bytes:
    """What Jira sends for a move of that issue to that status."""
    item = {"field": "status", "fieldId": "status", "toString": status}
    body: dict[str, Any] = {
        "webhookEvent": "jira:issue_updated",
        "issue": {"key": issue},
        "changelog": {"items": [item]},
    }
    return json.dumps(body).encode()


@pytest.mark.parametrize(
    ("issue", "status", "lines"),
    [
        ("XYZ-1", "Beta", "[projects.xyz]"),
        ("XYZ-1", "Ready for QA", '[projects.xyz]\n\n[statuses.ready-for-qa]\njira = ["Ready for QA"]'),
        ("ABC-1", "Ready for QA", '[statuses.ready-for-qa]\njira = ["Ready for QA"]'),
        ("ABC-1", "Ready for Beta", '[statuses.beta]\njira = ["Beta", "10003", "Ready for Beta"]'),
        ("ABC-1", " Prêt\u00e0 tester ", None),
        ("DEF-1", "Stage", '[projects.def]\nstatuses = ["beta", "test", "stage"]'),
        ("DEF-1", "Prod", '[statuses.prod]\njira = ["Prod"]\n\n[projects.def]\nstatuses = ["beta", "test", "prod"]'),
        ("DEF-1", 'a"b\\c]', None),
    ],
)
def test_an_ignored_move_and_its_explanation_give_the_same_lines_and_they_suffice(
    issue: str, status: str, lines: str | None
) -> None:
    settings = settings_with("")
    ignored = read({}, webhook(issue, status), settings.catalogue)
    assert isinstance(ignored, IgnoredMove)
    assert ignored.accept is not None
    fault = explain(issue, status, settings).fault
    assert fault is not None
    assert ignored.accept == fault.fix == (lines or ignored.accept)
    assert isinstance(read({}, webhook(issue, status), settings_with(ignored.accept).catalogue), Moved)


@pytest.mark.parametrize("status", ["Ready for QA", "In Progress", "Betamax", "Alphabet", "Deployed"])
def test_a_status_is_never_suggested_for_another_one_that_it_only_resembles(status: str) -> None:
    fault = explain("ABC-1", status, settings_with("")).fault
    assert fault is not None
    assert "beta]" not in str(fault.fix)


def test_a_word_that_cannot_be_pasted_is_not_suggested() -> None:
    fault = explain("ABC-1", "\x1b]0;x\x07", settings_with("")).fault
    assert fault is not None
    assert fault.fix is None
