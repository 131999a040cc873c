"""The commands that use the running services: send, servers, show, history, ignored."""

import asyncio
import json
import os
import re
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from usher.api.client import who
from usher.api.types import ServerState
from usher.broker.link import connect
from usher.broker.publisher import Publisher
from usher.cli.one_server import why_not_yet
from usher.cli.screen import clock, coloured, zoned
from usher.runtime.wording import span
from usher.settings import load

pytestmark = pytest.mark.usefixtures("running")
BETA = "beta.abc.wwts.com"


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 15
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def passed(usher, issue: str, server: str) -> bool:
    """Whether the ledger has the issue as deployed to the server."""
    messages = json.loads(usher("show", issue, "--json").out)
    return any(message["state"] == "deployed" and message["server"] == server for message in messages)


@pytest.mark.parametrize(
    ("words", "issues"),
    [
        (["ABC-11", "beta"], ["ABC-11"]),
        (["abc", "beta", "113", "12"], ["ABC-12", "ABC-113"]),
        ([BETA, "ABC-14", "ABC-13"], ["ABC-13", "ABC-14"]),
    ],
)
def test_an_issue_can_be_sent_in_each_of_three_forms(usher, words: list[str], issues: list[str]) -> None:
    result = usher("send", *words, "--json")
    assert result.code == 0
    assert [(message["issue"], message["server"]) for message in json.loads(result.out)] == [
        (issue, BETA) for issue in issues
    ]
    until(lambda: all(passed(usher, issue, BETA) for issue in issues))


@pytest.mark.parametrize(
    "words", [["abc-15", "BETA"], ["ABC", "Beta", "15"], ["Beta.ABC.wwts.com", "abc-15"], [" Abc-15 ", "10003"]]
)
def test_issues_statuses_and_servers_may_be_typed_in_any_case(usher, words: list[str]) -> None:
    (message,) = json.loads(usher("send", *words, "--json").out)
    assert (message["issue"], message["server"]) == ("ABC-15", BETA)
    until(lambda: passed(usher, "ABC-15", BETA))
    assert usher("show", "abc-15").out.startswith("ABC-15\n")
    assert usher("show", BETA.upper()).out.startswith(BETA)
    assert json.loads(usher("history", BETA.title(), "-n", "1", "--json").out)[0]["server"] == BETA
    assert "ABC-15 " in usher("withdraw", "abc-15").out


def test_show_finds_a_move_by_the_id_that_send_prints(usher) -> None:
    for _ in range(2):
        sent = usher("send", "ABC-16", "beta").out
        until(lambda: passed(usher, "ABC-16", BETA))
    found = re.search(r"\(message ([0-9a-f]{32})\)", sent)
    assert found
    result = usher("show", found[1])
    assert result.out.startswith("ABC-16\n")
    assert len([line for line in result.out.splitlines() if BETA in line]) == 1, "only that move"
    assert [message["id"] for message in json.loads(usher("show", found[1], "--json").out)] == [found[1]]
    unknown = "0" * 32
    assert f"no message {unknown} is known; for an order, use `usher orders" in usher("show", unknown).err


def test_send_shows_where_the_issue_is_pending_and_the_next_step(usher) -> None:
    result = usher("send", "ABC-21", "test")
    assert result.out.startswith("ABC-21 is pending for test.abc.wwts.com")
    assert "usher show test.abc.wwts.com" in result.out


def test_send_shows_why_trackers_refused_a_move(usher) -> None:
    result = usher("send", "XYZ-1", "beta")
    assert (result.code, result.out) == (1, "")
    assert "XYZ-1 was not sent: " in result.err
    assert "unknown project XYZ; add [projects.xyz]" in result.err


def test_servers_shows_all_servers_with_their_state(usher) -> None:
    plain, data = usher("servers"), json.loads(usher("servers", "--json").out)
    assert [server["server"] for server in data] == [server.name for server in load().catalogue]
    assert all(server["server"] in plain.out for server in data)
    assert "\x1b" not in plain.out


def test_a_server_shows_its_last_deploy_and_how_to_send(usher) -> None:
    usher("send", "ABC-31", "stage")
    until(lambda: passed(usher, "ABC-31", "stage.abc.wwts.com"))
    result = usher("show", "stage.abc.wwts.com")
    assert "Last deploy: passed (rehearsed) at" in result.out
    assert "usher send ABC-111 stage" in result.out
    assert re.search(r"stage\.abc\.wwts\.com .* passed \(rehearsed\) \d", usher("servers").out)


def test_an_issue_shows_its_state_per_server(usher) -> None:
    usher("send", "DEF-5", "beta")
    until(lambda: passed(usher, "DEF-5", "beta.def.wwts.com"))
    result = usher("show", "DEF-5")
    assert "beta.def.wwts.com" in result.out
    assert "deployed (rehearsed)" in result.out
    assert "Usher has received nothing for DEF-6" in usher("show", "DEF-6").out


def test_an_unknown_server_is_named_in_the_error(usher) -> None:
    result = usher("show", "prod.abc.wwts.com")
    assert result.code == 1
    assert "unknown server 'prod.abc.wwts.com'" in result.err


def test_history_lists_deploys_newest_first(usher) -> None:
    for number in (41, 42):
        usher("send", f"ABC-{number}", "beta")
        until(lambda number=number: passed(usher, f"ABC-{number}", BETA))
    deploys = json.loads(usher("history", BETA, "-n", "2", "--json").out)
    assert [deploy["issues"] for deploy in deploys] == [["ABC-42"], ["ABC-41"]]
    assert all(deploy["started_at"].endswith("Z") for deploy in deploys)
    assert deploys[0]["id"] in usher("history", BETA).out
    assert usher("history", "--outcome", "Timed-Out").out == "No such deploys.\n"


def test_history_lists_the_deploys_of_a_period(usher) -> None:
    usher("send", "ABC-45", "test")
    until(lambda: passed(usher, "ABC-45", "test.abc.wwts.com"))
    (deploy,) = json.loads(usher("history", "test.abc.wwts.com", "-n", "1", "--json").out)
    began = datetime.fromisoformat(deploy["taken_at"])

    def listed(*period: str) -> bool:
        found = json.loads(usher("history", "test.abc.wwts.com", *period, "--json").out)
        return deploy["id"] in [one["id"] for one in found]

    later = (began + timedelta(milliseconds=1)).isoformat()
    assert listed("--since", "1h")
    assert listed("--since", f"{began.astimezone():%Y-%m-%d}", "--until", f"{began.astimezone():%Y-%m-%d}")
    assert listed("--since", began.isoformat(), "--until", later)
    assert not listed("--since", later)
    assert not listed("--until", began.isoformat())


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["history", "--outcome", "fail"], "'--outcome': 'fail' is not an outcome; known: passed, failed"),
        (["history", "--since", "yesterday"], "'--since': 'yesterday' is not a time; write it like 2026-11-22"),
        (["history", "--until", "2026-13-01"], "'--until': '2026-13-01' is not a time"),
        (["orders", "--issue", "beta"], "'--issue': 'beta' is not an issue; it should look like ABC-123"),
    ],
)
def test_a_wrong_option_is_named_in_the_error(usher, arguments: list[str], says: str) -> None:
    result = usher(*arguments)
    assert (result.code, result.out) == (2, "")
    assert says in " ".join(result.err.replace("│", " ").split())


def test_a_deploy_shows_its_outcome_command_times_and_output(usher) -> None:
    usher("send", "ABC-61", "beta")
    until(lambda: passed(usher, "ABC-61", BETA))
    deploy = json.loads(usher("history", BETA, "-n", "1", "--json").out)[0]
    result = usher("show", deploy["id"]).out
    assert result.startswith(f"{BETA} passed (rehearsed)\n")
    assert f"Command  python -m wwts.devops.deploy {BETA} ABC-61\n" in result
    assert "ABC-61  (1 message)" in result
    assert "Why" not in result
    assert re.search(r"When  .+ to .+, 0 s\n +By  deploys on .+ \(process \d+\)\n", result)
    assert "rehearsed, nothing was run: python -m wwts" in result
    assert json.loads(usher("show", deploy["id"], "--json").out) == deploy


def test_an_unknown_deploy_says_how_to_list_them(usher) -> None:
    result = usher("show", "0123456789ab")
    assert (result.code, result.out) == (1, "")
    assert result.err == "usher: there is no deploy 0123456789ab; `usher history` lists the deploys\n"


def webhook(issue: str, status: str) -> None:
    """Send the webhook that Jira would send for a move."""
    body = {
        "webhookEvent": "jira:issue_updated",
        "issue": {"id": issue[4:], "key": issue, "fields": {"project": {"key": issue[:3]}}},
        "changelog": {
            "id": "2",
            "items": [{"field": "status", "fieldtype": "jira", "from": "1", "to": "9", "toString": status}],
        },
    }
    port = os.environ["USHER_TRACKERS__PORT"]
    httpx.post(f"http://127.0.0.1:{port}/webhooks/jira", json=body, trust_env=False).raise_for_status()


def recorded(usher, *issues: str) -> list[dict[str, str]]:
    """The ignored moves, once the moves of these issues have been recorded."""
    deadline = time.monotonic() + 15
    while True:
        moves = json.loads(usher("ignored", "--json").out)
        if set(issues) <= {move["issue"] for move in moves}:
            return moves
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_an_ignored_move_shows_the_setting_that_would_accept_it(usher) -> None:
    webhook("ABC-51", "Ready for Prod")
    data = recorded(usher, "ABC-51")
    assert data[0]["issue"] == "ABC-51"
    result = usher("ignored").out
    assert "ABC-51" in result
    assert 'jira = ["Ready for Prod", "9"]' in result


def test_an_issue_shows_its_ignored_moves_too(usher) -> None:
    webhook("ABC-57", "Ready for Prod")
    recorded(usher, "ABC-57")
    assert re.search(r"Moved to Ready for Prod at .+, ignored: unknown status", usher("show", "ABC-57").out)


def test_an_issue_shows_who_moved_it(usher) -> None:
    usher("send", "ABC-58", "beta")
    deadline = time.monotonic() + 15
    while f"moved by {who()}" not in usher("show", "ABC-58").out:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_moves_ignored_for_the_same_reason_are_one_row_and_json_lists_each(usher) -> None:
    for issue in ("ABC-52", "ABC-53", "DEF-54"):
        webhook(issue, "In Progress")
    moves = recorded(usher, "ABC-52", "ABC-53", "DEF-54")
    rows = re.findall(r" (\d+) +In Progress +(\S+)", usher("ignored").out)
    assert rows == [("1", "DEF-54"), ("2", "ABC-53")]
    assert [move["issue"] for move in moves if move["status"] == "In Progress"] == ["DEF-54", "ABC-53", "ABC-52"]


def readme() -> str:
    """The text of the README."""
    return (Path(__file__).parents[3] / "README.md").read_text()


def test_the_readme_shows_what_the_screen_shows(usher, monkeypatch: pytest.MonkeyPatch) -> None:
    now = datetime.now(UTC)
    soon, names = now + timedelta(minutes=5), ("beta.abc", "beta.def", "stage.abc", "test.abc")
    facts: list[dict[str, object]] = [
        {"state": "waiting", "waiting": ["ABC-111", "ABC-112", "ABC-113"], "window_closes_at": soon, "last": "passed"},
        {"state": "failing", "retrying": ["DEF-7"], "retried_at": soon, "parked": ["DEF-8"], "last": "failed"},
        {"state": "idle"},
        {"state": "deploying", "running": running(timedelta(seconds=151), "ABC-111"), "last": "passed"},
    ]
    servers = [
        state(**{**some, "server": f"{name}.wwts.com", **({"last": last(str(some["last"]))} if "last" in some else {})})
        for name, some in zip(names, facts, strict=True)
    ]
    monkeypatch.setattr("usher.api.client.Client.servers", lambda _: servers)
    monkeypatch.setattr("usher.cli.servers.clock", lambda _: "00:00:00")
    monkeypatch.setattr("usher.cli.servers.zone", lambda: "UTC")
    shown = [line.rstrip() for line in usher("servers").out.splitlines()]
    (sample,) = re.findall(r"((?:    .*\n)+)", readme()[readme().index("`usher servers` looks like this") :])[:1]

    def plain(line: str) -> str:
        return re.sub(r"\d\d:\d\d:\d\d|\d+ s", lambda found: "0" * len(found[0]), line.strip())

    assert [plain(line) for line in shown] == [plain(line) for line in sample.splitlines()]


def test_the_readme_names_the_windows_as_the_command_does(usher, monkeypatch: pytest.MonkeyPatch) -> None:
    quiet, cap = re.findall(r"((?:\d+ min ?)(?:\d+ s)?)", readme()[readme().index("By default, a deploy starts") :])[:2]
    for name in ("QUIET", "CAP", "FLOOR"):
        monkeypatch.delenv(f"USHER_WINDOW__{name}")
    when = usher("explain", "ABC-111", "beta").out.splitlines()[-1].strip()
    assert when == f"when  {quiet.strip()} after the last message, but no later than {cap.strip()} after the first"


def test_parked_messages_that_cannot_be_read_are_listed_with_the_reason(usher) -> None:
    async def park() -> None:
        async with connect(load().broker, "tests") as link:
            publisher = await Publisher.open(link, "tests")
            await publisher.park(b"\x1b]0;x\x07what?", "0" * 32, "it is not JSON")

    asyncio.run(park())
    found: list[str] = []

    def listed() -> bool:
        found[:] = usher("parked").out.splitlines()
        return "1 parked message that Usher cannot read:" in found

    until(listed)
    assert re.search(r"0{32} +it is not JSON +11 +what\?", found[2])
    assert "remove it in the management console (queue usher.parked)" in found[3]
    assert json.loads(usher("parked", "--json").out) == []


class TestWhyNotYet:
    """The sentence that says why a server has not deployed, and when it does. Windows: quiet of 2 min, cap of 8 min."""

    opened = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)

    def why(self, closes: timedelta, now: timedelta, **more: object) -> str:
        facts = {
            "waiting": ["ABC-1"],
            "waiting_messages": 1,
            "state": "waiting",
            "window_opened_at": self.opened,
            "window_closes_at": self.opened + closes,
            "window_limit_at": self.opened + timedelta(minutes=8),
            "next_reason": "the window closes 2 min after the last message",
            "reason": "its window has closed; it waits for a free slot (4 deploys running)",
        }
        return why_not_yet(state(**{**facts, **more}), self.opened + now)

    def test_the_window_is_open_and_another_message_extends_it(self) -> None:
        closes, limit = (zoned(self.opened + timedelta(minutes=minutes)) for minutes in (3, 8))
        assert self.why(timedelta(minutes=3), timedelta(minutes=2)) == (
            f"Deploys at {closes}, in 1 min: the window closes 2 min after the last message. "
            f"Another message moves this, to {limit} at most."
        )

    def test_another_message_does_not_extend_it_beyond_the_cap(self) -> None:
        assert "Another" not in self.why(timedelta(minutes=8), timedelta(minutes=7))

    def test_a_closed_window_gives_the_reason_of_the_service(self) -> None:
        said = self.why(timedelta(minutes=2), timedelta(minutes=3))
        assert said == "Its window has closed; it waits for a free slot (4 deploys running)."

    def test_while_a_deploy_runs_it_comes_first(self) -> None:
        runs = {"running": running(timedelta(minutes=1)), "state": "deploying"}
        early = self.why(timedelta(minutes=3), timedelta(minutes=2), **runs)
        late = self.why(timedelta(minutes=3), timedelta(minutes=4), **runs)
        assert early == f"{late} Their window closes at {zoned(self.opened + timedelta(minutes=3))}."
        assert late == "They are deployed after the running deploy."


def state(**facts: object) -> ServerState:
    """A server that is idle, apart from these facts."""
    idle = {
        **dict.fromkeys(["command", "running", "last", "window_opened_at", "window_closes_at"]),
        "server": BETA,
        "project": "abc",
        "status": "beta",
        "state": "idle",
        "rehearsed": True,
        "waiting": [],
        "waiting_messages": 0,
    }
    return ServerState.model_validate({**idle, **facts})


def last(outcome: str) -> dict[str, object]:
    """The last deploy of a server."""
    return {"deploy": "0" * 12, "outcome": outcome, "ended_at": datetime.now(UTC)}


def running(for_: timedelta, issue: str = "ABC-9") -> dict[str, object]:
    """A deploy that has been running for that long."""
    return {"deploy": "0" * 12, "issues": [issue], "holder": "x", "since": datetime.now(UTC) - for_}


class TestTheLineOfAServer:
    """`usher servers` hides no trouble, whatever else the server does."""

    @pytest.fixture
    def line(self, usher, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
        def line(**facts: object) -> str:
            monkeypatch.setattr("usher.api.client.Client.servers", lambda _: [state(**facts)])
            return usher("servers").out.splitlines()[1]

        return line

    due = datetime.now(UTC) + timedelta(minutes=5)

    def test_a_failing_server_shows_the_issues_when_they_are_retried_and_what_is_parked(self, line) -> None:
        facts = {"retrying": ["ABC-2", "ABC-3"], "retried_at": self.due, "parked": ["ABC-1"], "last": last("failed")}
        shown = line(state="failing", **facts)
        assert re.search(rf"failing +ABC-1 ABC-2 ABC-3 +retries {clock(self.due)} and 1 later; 1 parked +failed", shown)

    def test_a_server_whose_last_deploy_passed_still_shows_what_is_parked(self, line) -> None:
        shown = line(state="parked", parked=["ABC-1", "ABC-2"], last=last("passed"))
        assert re.search(r"parked +ABC-1 ABC-2 +2 parked +passed", shown)

    def test_a_waiting_or_deploying_server_shows_it_beside_what_happens_next(self, line) -> None:
        facts = {"parked": ["ABC-1"], "retrying": ["ABC-2"], "retried_at": self.due}
        shown = line(state="waiting", waiting=["ABC-7"], window_closes_at=self.due, **facts)
        assert re.search(r"waiting +ABC-7 +deploys [\d:]+; retries [\d:]+; 1 parked", shown)
        runs = running(timedelta(seconds=151))
        shown = line(state="deploying", running=runs, waiting=["ABC-7"], window_closes_at=self.due, **facts)
        assert re.search(r"deploying +ABC-9 +for 2 min 3\d s; 1 issue pending; retries [\d:]+; 1 parked", shown)

    def test_a_deploy_that_should_have_ended_and_a_window_that_has_closed_are_named(self, line) -> None:
        past = datetime.now(UTC) - timedelta(hours=3)
        assert "no end reported for 3 h" in line(state="overdue", running=running(timedelta(hours=3)))
        assert f"due since {clock(past)}" in line(state="waiting", waiting=["ABC-7"], window_closes_at=past)

    def test_a_server_that_waits_for_a_lost_command_does_not_say_that_it_deploys(self, line) -> None:
        shown = line(state="recovering", running=running(timedelta(minutes=2)), next_change=self.due)
        assert re.search(rf"recovering +ABC-9 +waits for a lost command until {clock(self.due)}", shown)
        assert "for 2 min" not in shown

    def test_a_server_whose_command_cannot_be_killed_says_for_how_long(self, line) -> None:
        facts = {"running": running(timedelta(hours=4)), "since": datetime.now(UTC) - timedelta(hours=3)}
        shown = line(state="stuck", waiting=["ABC-7"], **facts)
        assert re.search(r"stuck +ABC-9 +cannot be killed for 3 h; see `usher show beta", shown)


@pytest.mark.parametrize("state", ["failed", "failing", "overdue", "parked", "stuck", "timed_out"])
def test_states_that_need_a_person_are_red(state: str) -> None:
    assert coloured(state).style == "red"


class TestTimes:
    def test_a_duration_has_at_most_two_units(self) -> None:
        spans = [span(timedelta(seconds=seconds)) for seconds in (0, 0.2, 59.6, 497, 3600, 90_061, -5)]
        assert spans == ["0 s", "0 s", "1 min", "8 min 17 s", "1 h", "1 d 1 h", "0 s"]

    def test_a_time_in_a_sentence_is_local_and_has_its_zone(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("TZ", "Europe/Dublin")
        time.tzset()
        try:
            assert zoned(datetime(2020, 7, 1, 12, 0, tzinfo=UTC)) == "01 Jul 2020 13:00 IST"
            assert clock(None) == ""
        finally:
            monkeypatch.undo()
            time.tzset()
