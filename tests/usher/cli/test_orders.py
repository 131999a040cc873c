"""The commands that order, and the list of orders. On a whole Usher whose command ends when a test says, and so."""

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
"""The variable that names the file: the command runs until it is there, and exits with the code in it."""


@pytest.fixture(scope="module")
def services(
    whole: Callable[..., AbstractContextManager[dict[str, str]]], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, str]]:
    """All of Usher. What failed is not tried again by itself, but on stage after an hour."""
    ends = tmp_path_factory.mktemp("command") / "ends"
    command = [sys.executable, "-c", COMMAND, str(ends), "{server}", "{issues}"]
    retries = {"RETRIES__DELAYS": "[]", "RETRIES__OF__STAGE__DELAYS": '["1h", "2h"]'}
    with whole(DEPLOYS__COMMAND=json.dumps(command), **retries) as variables:
        yield {**variables, ENDS: str(ends)}
        end(ends, 0)


@pytest.fixture
def ends(running: None) -> Iterator[Path]:
    """The file by which the command ends; at first it is not there. In the end all of it passes."""
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
    """Have the commands end with that exit code."""
    written = ends.with_suffix(".new")
    written.write_text(str(code))
    written.rename(ends)


def states(usher, issue: str) -> list[str]:
    """Where the issue's messages are, the newest first."""
    return [message["state"] for message in json.loads(usher("show", issue, "--json").out)]


def deploying(usher, issue: str, status: str = "beta") -> str:
    """Send it to a server where nothing waits, and wait until it is being deployed; gives the deploy."""
    assert usher("send", issue, status).code == 0
    until(lambda: states(usher, issue)[:1] == ["deploying"])
    return json.loads(usher("show", issue, "--json").out)[0]["deploy"]


def deployed(usher, server: str, *issues: str) -> list[list[str]]:
    """The issues of that server's deploys with any of these in them."""
    deploys = json.loads(usher("history", server, "--json").out)
    return [deploy["issues"] for deploy in deploys if set(issues) & set(deploy["issues"])]


def idle(usher) -> None:
    until(lambda: all(server["state"] in ("idle", "failing") for server in json.loads(usher("servers", "--json").out)))


@pytest.fixture(autouse=True)
def all_ends(usher, ends: Path) -> Iterator[None]:
    """What a test began is over before the next begins."""
    yield
    end(ends, 0)
    idle(usher)


class TestWithdraw:
    @pytest.mark.slow
    def test_what_waits_is_withdrawn_what_runs_goes_on_and_the_rest_is_named(self, usher, ends: Path) -> None:
        deploy = deploying(usher, "ABC-1")
        usher("send", "ABC-2", "beta")
        said = usher("withdraw", "ABC-1", "ABC-2", "ABC-3")
        assert (said.code, said.err) == (0, "")
        assert f"Withdrawn: ABC-2 on {BETA}." in said.out
        assert f"ABC-1 is being deployed to {BETA} by {deploy}: the order takes effect only if that" in said.out
        assert re.search(rf"ABC-3 on {BETA}, .+ is left as it is: nothing of it is pending", said.out)
        end(ends, 1)
        idle(usher)
        until(lambda: deployed(usher, BETA, "ABC-1", "ABC-2") == [["ABC-1"]])

    @pytest.mark.slow
    def test_only_from_the_server_that_is_named_and_who_asks_is_known(self, usher, ends: Path) -> None:
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

    def test_nothing_to_withdraw_is_exit_code_1_and_says_so(self, usher) -> None:
        said = usher("withdraw", BETA, "ABC-21")
        assert (said.code, said.out) == (1, f"ABC-21 on {BETA} is left as it is: nothing of it is pending\n")
        done = json.loads(usher("withdraw", BETA, "ABC-21", "--json").out)
        assert done["left"] == [{"issue": "ABC-21", "server": BETA, "why": "nothing of it is pending"}]
        assert (done["state"], done["messages"], done["running"]) == ("done", [], [])

    def test_every_order_is_listed_with_who_gave_it_why_and_what_came_of_it(self, usher) -> None:
        reason = "the release is wrong"
        order = json.loads(usher("withdraw", BETA, "ABC-22", "--reason", reason, "--json").out)
        listed = usher("orders", "--issue", "ABC-22", "--by", who()).out
        assert all(word in listed for word in (who(), f"ABC-22 on {BETA}", reason, "1 left", order["id"]))
        assert json.loads(usher("orders", "--issue", "ABC-22", "--json").out) == [order]
        shown = usher("orders", order["id"]).out
        assert shown.startswith(f"withdraw ABC-22 on {BETA}\n")
        assert f"by {who()}: {reason}" in shown
        assert "nothing of it is pending" in shown
        assert json.loads(usher("orders", order["id"], "--json").out) == order
        assert "Nobody has given such an order." in usher("orders", "--by", "nobody").out
        assert (usher("orders", "7").code, "no order '7' is known" in usher("orders", "7").err) == (1, True)

    def test_what_is_to_be_tried_again_says_when_until_it_is_withdrawn(self, usher, ends: Path) -> None:
        end(ends, 1)
        usher("send", "ABC-25", "stage")
        until(lambda: sorted(states(usher, "ABC-25")) == ["retried", "retrying"])
        server, issue = usher("show", STAGE).out, usher("show", "ABC-25").out
        assert re.search(r"Next attempt at .+: ABC-25 \(attempt 2 of 3\)\.", server)
        assert re.search(r"retried .* once\s*\n.* retrying .* again at .+, attempt 2 of 3", issue)
        assert "retried: its deploy failed; its next attempt is on the line below." in issue
        assert f"Withdrawn: ABC-25 on {STAGE}." in usher("withdraw", "ABC-25").out
        until(lambda: sorted(states(usher, "ABC-25")) == ["retried", "withdrawn"])
        assert re.search(rf"withdrawn .* attempt 2 of 3, by {re.escape(who())}", usher("show", "ABC-25").out)
        assert "Next attempt at" not in usher("show", STAGE).out

    @pytest.mark.parametrize(
        ("words", "says"),
        [
            (["ABC-1", "prod"], "'prod' is neither an issue, like ABC-111, nor a server; known: beta.abc"),
            ([BETA], f"name the issues, too: `usher withdraw {BETA} ABC-111`"),
            ([BETA, TEST, "ABC-1"], "name one server at a time"),
        ],
    )
    def test_words_that_are_neither_a_server_nor_issues_are_said(self, usher, words: list[str], says: str) -> None:
        said = usher("withdraw", *words)
        assert (said.code, said.out) == (1, "")
        assert says in said.err

    def test_a_script_withdraws_too(self, usher) -> None:
        deploying(usher, "ABC-31")
        library.send("ABC-32", "beta")
        done = library.withdraw(BETA, ["ABC-31", library.Issue("ABC", 32), "ABC-33"])
        assert [str(message.issue) for message in done.messages] == ["ABC-32"]
        assert [str(running.issue) for running in done.running] == ["ABC-31"]
        assert [(str(left.issue), left.why) for left in done.left] == [("ABC-33", "nothing of it is pending")]
        assert library.withdraw(None, ["ABC-32"]).messages == ()


def test_an_issue_s_superseded_messages_are_explained(usher, ends: Path) -> None:
    deploying(usher, "ABC-41")
    for _ in range(2):
        usher("send", "ABC-42", "beta")
    end(ends, 0)
    until(lambda: sorted(states(usher, "ABC-42")) == ["deployed", "superseded"])
    said = usher("show", "ABC-42").out
    assert said.startswith("Received")
    assert "superseded: the deploy beside it covered a newer message of the issue." in said
    assert "parked:" not in said


def test_a_failed_deploy_shows_why_its_exit_code_and_how_to_try_again(usher, ends: Path) -> None:
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
def test_which_parked_issues_are_meant_has_to_be_said(usher, words: list[str]) -> None:
    said = usher("parked", "drop", *words)
    assert (said.code, "name a server or issues, or --all" in said.err) == (1, True)


class Terminal(io.StringIO):
    """Somebody at a terminal, who types this."""

    def isatty(self) -> bool:
        return True


@pytest.mark.slow
class TestParked:
    @pytest.fixture
    def park(self, usher, ends: Path) -> Iterator[Callable[..., str]]:
        """Have these issues fail for good on beta; gives the deploy. What is still parked in the end is dropped."""

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

    def test_what_failed_for_good_is_listed_with_the_reason(self, usher, park: Callable[..., str]) -> None:
        deploy = park("ABC-41")
        (message,) = json.loads(usher("parked", "--json").out)
        assert (message["server"], message["outcome"], message["exit_code"]) == (BETA, "failed", 3)
        said = usher("parked")
        assert said.code == 0
        assert all(word in said.out for word in ("ABC-41", BETA, deploy, message["reason"], "usher parked retry"))

    def test_it_is_tried_again_by_issue_or_by_server(self, usher, park: Callable[..., str]) -> None:
        park("ABC-42", "ABC-43", "ABC-44")
        assert f"Queued again: ABC-42 on {BETA}." in usher("parked", "retry", "ABC-42").out
        until(lambda: states(usher, "ABC-42")[:1] == ["deployed"] and listed(usher) == ["ABC-43", "ABC-44"])
        again = json.loads(usher("parked", "retry", BETA, "--json").out)
        assert {(m["issue"], m["attempt"]) for m in again["messages"]} == {("ABC-43", 2), ("ABC-44", 2)}
        until(lambda: states(usher, "ABC-43")[:1] == states(usher, "ABC-44")[:1] == ["deployed"])

    def test_it_is_dropped_and_not_twice(self, usher, park: Callable[..., str]) -> None:
        park("ABC-45")
        said = usher("parked", "drop", BETA, "ABC-45")
        assert (said.code, said.out) == (0, f"Dropped: ABC-45 on {BETA}.\n")
        assert usher("parked", "drop", "ABC-45").code == 1
        until(lambda: "Nothing is parked." in usher("parked").out)

    def test_a_deploy_is_tried_again(self, usher, park: Callable[..., str]) -> None:
        deploy = park("ABC-46")
        assert f"Queued again: ABC-46 on {BETA}." in usher("retry", deploy).out
        until(lambda: states(usher, "ABC-46")[:1] == ["deployed"])
        assert usher("retry", deploy).code == 1

    def test_all_of_it_is_dropped_once_somebody_at_a_terminal_says_so(
        self, usher, park: Callable[..., str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        park("ABC-47", "ABC-48")
        monkeypatch.setattr("sys.stdin", Terminal("n\n"))
        refused = usher("parked", "drop", "--all")
        assert (refused.code, "Drop 2 parked messages?" in refused.err) == (1, True)
        assert listed(usher) == ["ABC-47", "ABC-48"]
        assert f"Dropped: ABC-47 ABC-48 on {BETA}." in usher("parked", "drop", "--all", "--yes").out

    def test_without_anything_parked_there_is_nothing_to_do(self, usher) -> None:
        said = usher("parked", "retry", "--all")
        assert (said.code, "There is nothing of that." in said.out) == (1, True)

    @pytest.mark.parametrize("words", [[], ["--all", "ABC-1"]])
    def test_which_ones_has_to_be_said(self, usher, words: list[str]) -> None:
        said = usher("parked", "drop", *words)
        assert (said.code, "name a server or issues, or --all" in said.err) == (1, True)

    def test_a_deploy_that_nobody_knows_is_said(self, usher) -> None:
        said = usher("retry", "0123456789ab")
        assert (said.code, "0123456789ab" in said.err) == (1, True)


def listed(usher) -> list[str]:
    """The issues that are parked, sorted."""
    return sorted(message["issue"] for message in json.loads(usher("parked", "--json").out))
