"""The commands that give orders, and the list of orders. The tests decide when and how the deploy command ends."""

import io
import json
import os
import re
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

import usher as library
from usher.api.client import who

BETA, TEST, STAGE = "beta.abc.wwts.com", "test.abc.wwts.com", "stage.abc.wwts.com"
COMMAND = """
import pathlib, sys, time
ends = pathlib.Path(sys.argv[1])
while not ends.exists():
    time.sleep(0.02)
sys.exit(int(ends.read_text()))
"""
ENDS = "TEST_COMMAND_ENDS"
"""The variable with the path of a file. The command runs until the file exists, and exits with the code in it."""


@pytest.fixture(scope="module")
def services(
    whole: Callable[..., AbstractContextManager[dict[str, str]]], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, str]]:
    """All of Usher. Failed issues are not retried automatically, except on stage, after an hour."""
    ends = tmp_path_factory.mktemp("command") / "ends"
    command = [sys.executable, "-c", COMMAND, str(ends), "{server}", "{issues}"]
    retries = {"RETRIES__DELAYS": "[]", "RETRIES__OF__STAGE__DELAYS": '["1h", "2h"]'}
    with whole(DEPLOYS__COMMAND=json.dumps(command), **retries) as variables:
        yield {**variables, ENDS: str(ends)}
        end(ends, 0)


@pytest.fixture
def ends(running: None) -> Iterator[Path]:
    """The file that ends the command. It does not exist at first. After the test, all commands pass."""
    path = Path(os.environ[ENDS])
    path.unlink(missing_ok=True)
    yield path
    end(path, 0)


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def end(ends: Path, code: int) -> None:
    """Make the commands end with that exit code."""
    written = ends.with_suffix(".new")
    written.write_text(str(code))
    written.rename(ends)


def states(usher, issue: str) -> list[str]:
    """The states of the issue's messages, newest first."""
    return [message["state"] for message in json.loads(usher("show", issue, "--json").out)]


def deploying(usher, issue: str, status: str = "beta") -> str:
    """Send an issue to an idle server, and wait until it is being deployed. Returns the deploy's id."""
    assert usher("send", issue, status).code == 0
    until(lambda: states(usher, issue)[:1] == ["deploying"])
    return json.loads(usher("show", issue, "--json").out)[0]["deploy"]


def deployed(usher, server: str, *issues: str) -> list[list[str]]:
    """The issues of each deploy of that server that covers any of these."""
    deploys = json.loads(usher("history", server, "--json").out)
    return [deploy["issues"] for deploy in deploys if set(issues) & set(deploy["issues"])]


def idle(usher) -> None:
    until(lambda: all(server["state"] in ("idle", "failing") for server in json.loads(usher("servers", "--json").out)))


@pytest.fixture(autouse=True)
def everything_ends(usher, ends: Path) -> Iterator[None]:
    """Wait until everything that a test started has ended."""
    yield
    end(ends, 0)
    idle(usher)


class TestWithdraw:
    @pytest.mark.slow
    def test_pending_issues_are_withdrawn_deploys_go_on_and_unchanged_issues_are_named(self, usher, ends: Path) -> None:
        deploy = deploying(usher, "ABC-1")
        usher("send", "ABC-2", "beta")
        said = usher("withdraw", "ABC-1", "ABC-2", "ABC-3")
        assert (said.code, said.err) == (0, "")
        assert f"Withdrawn: ABC-2 on {BETA}." in said.out
        assert f"ABC-1 is being deployed to {BETA} by {deploy}: the order takes effect only if that" in said.out
        assert re.search(rf"ABC-3 on {BETA}, .+ is unchanged: it is not pending", said.out)
        end(ends, 1)
        idle(usher)
        until(lambda: deployed(usher, BETA, "ABC-1", "ABC-2") == [["ABC-1"]])

    @pytest.mark.slow
    def test_with_a_server_an_issue_is_withdrawn_only_from_that_server(self, usher, ends: Path) -> None:
        deploying(usher, "ABC-11")
        deploying(usher, "ABC-11", "test")
        for status in ("beta", "test"):
            usher("send", "ABC-12", status)
        done = json.loads(usher("withdraw", TEST, "ABC-12", "--json").out)
        assert [(m["issue"], m["server"]) for m in done["messages"]] == [("ABC-12", TEST)]
        end(ends, 0)
        idle(usher)
        until(lambda: deployed(usher, BETA, "ABC-12") == [["ABC-12"]])
        assert deployed(usher, TEST, "ABC-12") == []

    def test_with_nothing_to_withdraw_the_exit_code_is_1_and_the_reason_is_shown(self, usher) -> None:
        said = usher("withdraw", BETA, "ABC-21")
        assert (said.code, said.out) == (1, f"ABC-21 on {BETA} is unchanged: it is not pending\n")
        done = json.loads(usher("withdraw", BETA, "ABC-21", "--json").out)
        assert done["left"] == [{"issue": "ABC-21", "server": BETA, "why": "it is not pending"}]
        assert (done["state"], done["messages"], done["running"]) == ("done", [], [])

    def test_every_order_is_listed_with_who_gave_it_why_and_its_result(self, usher) -> None:
        reason = "the release is wrong"
        order = json.loads(usher("withdraw", BETA, "ABC-22", "--reason", reason, "--json").out)
        listed = usher("orders", "--issue", "ABC-22", "--by", who()).out
        assert all(word in listed for word in (who(), f"ABC-22 on {BETA}", reason, "1 unchanged", order["id"]))
        assert json.loads(usher("orders", "--issue", "ABC-22", "--json").out) == [order]
        shown = usher("orders", order["id"]).out
        assert shown.startswith(f"withdraw ABC-22 on {BETA}\n")
        assert f"by {who()}: {reason}" in shown
        assert "it is not pending" in shown
        assert json.loads(usher("orders", order["id"], "--json").out) == order
        assert "No such orders." in usher("orders", "--by", "nobody").out
        assert (usher("orders", "7").code, "no order '7' is known" in usher("orders", "7").err) == (1, True)

    def test_a_retrying_issue_shows_when_its_next_attempt_is_due_until_it_is_withdrawn(self, usher, ends: Path) -> None:
        end(ends, 1)
        usher("send", "ABC-25", "stage")
        until(lambda: sorted(states(usher, "ABC-25")) == ["retried", "retrying"])
        server, issue = usher("show", STAGE).out, usher("show", "ABC-25").out
        assert re.search(r"Next attempt at .+: ABC-25 \(attempt 2 of 3\)\.", server)
        assert re.search(r"retried .*\n.* retrying .* attempt 2 of 3 at [\d:]+", issue)
        assert "retried: its deploy failed; its next attempt is on the line below." in issue
        assert f"Withdrawn: ABC-25 on {STAGE}." in usher("withdraw", "ABC-25").out
        until(lambda: sorted(states(usher, "ABC-25")) == ["retried", "withdrawn"])
        assert re.search(rf"withdrawn .* attempt 2 of 3, by {re.escape(who())}", usher("show", "ABC-25").out)
        assert "Next attempt at" not in usher("show", STAGE).out

    @pytest.mark.parametrize(
        ("words", "says"),
        [
            (["ABC-1", "prod"], "'prod' is neither an issue, like ABC-111, nor a server; known: beta.abc"),
            ([BETA], f"name the issues too: `usher withdraw {BETA} ABC-111`"),
            ([BETA, TEST, "ABC-1"], "name one server at a time"),
        ],
    )
    def test_wrong_arguments_are_explained(self, usher, words: list[str], says: str) -> None:
        said = usher("withdraw", *words)
        assert (said.code, said.out) == (1, "")
        assert says in said.err

    def test_a_python_script_can_withdraw_too(self, usher) -> None:
        deploying(usher, "ABC-31")
        library.send("ABC-32", "beta")
        done = library.withdraw(BETA, ["ABC-31", library.Issue("ABC", 32), "ABC-33"])
        assert [str(message.issue) for message in done.messages] == ["ABC-32"]
        assert [str(running.issue) for running in done.running] == ["ABC-31"]
        assert [(str(left.issue), left.why) for left in done.left] == [("ABC-33", "it is not pending")]
        assert library.withdraw(None, ["ABC-32"]).messages == ()


def test_superseded_messages_of_an_issue_are_explained(usher, ends: Path) -> None:
    deploying(usher, "ABC-41")
    for _ in range(2):
        usher("send", "ABC-42", "beta")
    end(ends, 0)
    until(lambda: sorted(states(usher, "ABC-42")) == ["deployed", "superseded"])
    said = usher("show", "ABC-42").out
    assert said.startswith("ABC-42\nReceived")
    assert "superseded: the deploy beside it covered a newer message of the issue." in said
    assert "parked:" not in said


def test_a_failed_deploy_shows_why_its_exit_code_and_how_to_retry_it(usher, ends: Path) -> None:
    deploy = deploying(usher, "ABC-51", "stage")
    assert f"{STAGE} deploying" in usher("show", deploy).out
    end(ends, 3)
    until(lambda: "Exit code  3" in usher("show", deploy).out)
    said = usher("show", deploy).out
    assert re.search(r"Why  exit code 3\n", said)
    assert re.search(r"complete output: .*log, on the deploys host", said)
    assert f"Next: `usher retry {deploy}` retries the issues that are not deployed yet." in said
    usher("withdraw", "ABC-51")


@pytest.mark.parametrize("words", [[], ["--all", "ABC-1"]])
def test_drop_needs_either_arguments_or_all(usher, words: list[str]) -> None:
    said = usher("parked", "drop", *words)
    assert (said.code, "name a server or issues, or --all" in said.err) == (1, True)


class Terminal(io.StringIO):
    """A terminal where somebody types this."""

    def isatty(self) -> bool:
        return True


@pytest.mark.slow
class TestParked:
    @pytest.fixture
    def park(self, usher, ends: Path) -> Iterator[Callable[..., str]]:
        """Park these issues on beta. Returns the deploy's id. After the test, all parked issues are dropped."""

        def park(*issues: str) -> str:
            end(ends, 3)
            for issue in issues:
                usher("send", issue, "beta")
            until(lambda: sorted(listed(usher)) == sorted(issues))
            idle(usher)
            end(ends, 0)
            return json.loads(usher("parked", "--json").out)[0]["deploy"]

        yield park
        usher("parked", "drop", "--all")
        until(lambda: listed(usher) == [])

    def test_parked_messages_are_listed_with_the_reason(self, usher, park: Callable[..., str]) -> None:
        deploy = park("ABC-41")
        (message,) = json.loads(usher("parked", "--json").out)
        assert (message["server"], message["outcome"], message["exit_code"]) == (BETA, "failed", 3)
        said = usher("parked")
        assert said.code == 0
        assert all(word in said.out for word in ("ABC-41", BETA, deploy, message["reason"], "usher parked retry"))

    def test_parked_issues_are_queued_again_by_issue_or_by_server(self, usher, park: Callable[..., str]) -> None:
        park("ABC-42", "ABC-43", "ABC-44")
        assert f"Queued again: ABC-42 on {BETA}." in usher("parked", "retry", "ABC-42").out
        until(lambda: states(usher, "ABC-42")[:1] == ["deployed"] and listed(usher) == ["ABC-43", "ABC-44"])
        again = json.loads(usher("parked", "retry", BETA, "--json").out)
        assert {(m["issue"], m["attempt"]) for m in again["messages"]} == {("ABC-43", 2), ("ABC-44", 2)}
        until(lambda: states(usher, "ABC-43")[:1] == states(usher, "ABC-44")[:1] == ["deployed"])

    def test_a_parked_issue_is_dropped_once(self, usher, park: Callable[..., str]) -> None:
        park("ABC-45")
        said = usher("parked", "drop", BETA, "ABC-45")
        assert (said.code, said.out) == (0, f"Dropped: ABC-45 on {BETA}.\n")
        assert usher("parked", "drop", "ABC-45").code == 1
        until(lambda: states(usher, "ABC-45") == ["withdrawn"])
        assert re.search(rf"{BETA} +dropped .* by {re.escape(who())}\n", usher("show", "ABC-45").out)
        until(lambda: "Nothing is parked." in usher("parked").out)

    def test_a_deploy_is_retried_once(self, usher, park: Callable[..., str]) -> None:
        deploy = park("ABC-46")
        assert f"Queued again: ABC-46 on {BETA}." in usher("retry", deploy).out
        until(lambda: states(usher, "ABC-46")[:1] == ["deployed"])
        assert usher("retry", deploy).code == 1

    def test_dropping_all_at_a_terminal_asks_for_confirmation(
        self, usher, park: Callable[..., str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        park("ABC-47", "ABC-48")
        monkeypatch.setattr("sys.stdin", Terminal("n\n"))
        refused = usher("parked", "drop", "--all")
        assert (refused.code, "Drop 2 parked messages?" in refused.err) == (1, True)
        assert listed(usher) == ["ABC-47", "ABC-48"]
        assert f"Dropped: ABC-47 ABC-48 on {BETA}." in usher("parked", "drop", "--all", "--yes").out

    def test_with_nothing_parked_the_exit_code_is_1(self, usher) -> None:
        said = usher("parked", "retry", "--all")
        assert (said.code, "Nothing matches the order." in said.out) == (1, True)

    @pytest.mark.parametrize("words", [[], ["--all", "ABC-1"]])
    def test_drop_needs_either_arguments_or_all(self, usher, words: list[str]) -> None:
        said = usher("parked", "drop", *words)
        assert (said.code, "name a server or issues, or --all" in said.err) == (1, True)

    def test_an_unknown_deploy_is_an_error(self, usher) -> None:
        said = usher("retry", "0123456789ab")
        assert (said.code, "0123456789ab" in said.err) == (1, True)


def listed(usher) -> list[str]:
    """The issues that are parked, sorted."""
    return sorted(message["issue"] for message in json.loads(usher("parked", "--json").out))
