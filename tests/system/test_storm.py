"""The main job end to end: the real programs, a real broker, and a real command that takes notes."""

import json
import subprocess
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

import httpx
import pytest

if TYPE_CHECKING:
    from conftest import Programs

BETA, TEST = "beta.abc.wwts.com", "test.abc.wwts.com"


def move(key: str, status: str, changelog: int) -> dict[str, object]:
    """The webhook body that Jira Cloud sends when an issue changes its status."""
    return {
        "webhookEvent": "jira:issue_updated",
        "issue_event_type_name": "issue_generic",
        "issue": {"id": "10101", "key": key, "self": "https://example.atlassian.net/rest/api/2/issue/10101"},
        "changelog": {
            "id": str(changelog),
            "items": [{"field": "status", "fieldId": "status", "fieldtype": "jira", "to": "9", "toString": status}],
        },
    }


def test_a_storm_of_moves_ends_in_one_deploy_per_server_with_the_union_of_its_issues(
    make_programs: "Callable[..., Programs]",
) -> None:
    # long enough for the whole storm, also on a busy machine
    usher = make_programs(WINDOW__QUIET="6s", WINDOW__CAP="20s")
    usher.start("trackers", "deploys", "successes")
    storm = [("ABC-111", "Test"), *[("ABC-111", "Beta")] * 4, ("ABC-113", "Beta"), ("ABC-112", "Test")]
    for number, (key, status) in enumerate(storm):
        answer = httpx.post(usher.url("trackers") + "/webhooks/jira", json=move(key, status, number))
        assert (answer.status_code, answer.json()["outcome"]) == (202, "accepted")
        again = httpx.post(usher.url("trackers") + "/webhooks/jira", json=move(key, status, number))
        assert again.json()["messages"] == answer.json()["messages"]
    usher.wait(lambda: usher.get("successes", "/api/deploys?outcome=passed")["total"] == 2, "two deploys have passed")
    assert {run.server: run.issues for run in usher.runs()} == {
        BETA: ("ABC-111", "ABC-113"),
        TEST: ("ABC-111", "ABC-112"),
    }
    assert len(usher.runs()) == 2
    usher.wait(
        lambda: (
            {
                state: usher.get("successes", f"/api/messages?state={state}")["total"]
                for state in ("deployed", "superseded", "waiting", "deploying")
            }
            == {"deployed": 4, "superseded": 3, "waiting": 0, "deploying": 0}
        ),
        "every message is settled",
    )


@pytest.mark.slow
def test_a_failed_deploy_is_parked_with_its_reason_and_the_next_one_still_runs(
    make_programs: "Callable[..., Programs]",
) -> None:
    usher = make_programs(
        DEPLOYS__COMMAND=json.dumps(["/bin/sh", "-c", "echo oh no; exit 3", "{server}"]), RETRIES__DELAYS="[]"
    )
    usher.start("trackers", "deploys", "successes")
    usher.send("ABC-1", "beta")
    usher.wait(lambda: usher.get("successes", "/api/messages?state=parked")["total"] == 1, "it is parked")
    (deploy,) = usher.get("successes", "/api/deploys?outcome=failed")["items"]  # type: ignore[misc]
    assert (deploy["reason"], deploy["exit_code"]) == ("exit code 3", 3)
    log = httpx.get(usher.url("successes") + f"/api/deploys/{deploy['id']}/log")
    assert log.text == "oh no\n"
    port = {"USHER_SUCCESSES__PORT": usher.url("successes").rpartition(":")[2]}
    for what in ("ABC-1", BETA):
        show = [sys.executable, "-m", "usher", "show", what]
        said = subprocess.run(
            show, env={**usher.environment, **port}, capture_output=True, text=True, check=True
        ).stdout
        assert "`usher parked retry beta.abc.wwts.com ABC-1` retries it" in said
        assert "exit code 3. Its output ends with:\n    oh no\n" in said
    usher.send("ABC-2", "beta")
    usher.wait(
        lambda: usher.get("successes", "/api/messages?state=parked")["total"] == 2, "the next one is parked, too"
    )
