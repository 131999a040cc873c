"""The API's view of a server, computed from its board."""

from datetime import UTC, datetime

import pytest

from successes.web.views import server_state
from usher.api.types import time
from usher.core.board.board import Board
from usher.core.events import DeployInterrupted, MessagesParked, MessagesRetried, Outcome, Retry
from usher.settings import load


@pytest.fixture
def settings():
    """Settings without a ledger, which these tests do not need."""
    return load({})


def look(settings, *events, name="beta.abc.wwts.com"):
    board = Board()
    for event in events:
        board.apply(event, now=2**50, read_at=0)
    return server_state(settings.catalogue.named(name), board.server(name), settings)


def test_an_idle_server(settings):
    idle = look(settings)
    assert (idle.server, idle.project, idle.status, idle.state) == ("beta.abc.wwts.com", "abc", "beta", "idle")
    assert (idle.waiting, idle.waiting_messages, idle.command, idle.window_closes_at) == ((), 0, None, None)
    assert (idle.running, idle.last, idle.rehearsed) == (None, None, True)


def test_waiting_issues_are_listed_once_each_with_the_command_and_the_window(settings, make):
    first, second, third = (make.message(key) for key in ("ABC-113", "ABC-111", "ABC-113"))
    waits = look(settings, first, second, third)

    assert waits.state == "waiting"
    assert [str(issue) for issue in waits.waiting] == ["ABC-111", "ABC-113"]
    assert waits.waiting_messages == 3
    assert waits.command == ("python", "-m", "wwts.devops.deploy", "beta.abc.wwts.com", "ABC-111", "ABC-113")
    assert waits.window_opened_at == time(first.queued_at)
    assert waits.window_closes_at == time(third.queued_at + 120_000), "two minutes after the last"


def test_the_command_contains_at_most_as_many_issues_as_one_deploy_may(make):
    few = load({"USHER_DEPLOYS__MAX_ISSUES": "1", "USHER_DEPLOYS__COMMAND": '["ship", "{status}", "{numbers}"]'})
    waits = look(few, make.message("ABC-113"), make.message("ABC-111"))
    assert waits.command == ("ship", "beta", "113")
    assert len(waits.waiting) == 2
    assert not waits.rehearsed


def test_a_running_deploy_and_the_issues_that_wait_meanwhile(settings, make):
    first = make.message("ABC-111")
    taken, later = make.taken(first), make.message("ABC-112")
    runs = look(settings, first, taken, later)
    assert runs.state == "deploying"
    assert runs.running.deploy == taken.deploy
    assert [str(issue) for issue in runs.running.issues] == ["ABC-111"]
    assert (runs.running.holder, runs.running.since) == (taken.holder, time(taken.taken_at))
    assert [str(issue) for issue in runs.waiting] == ["ABC-112"]


@pytest.mark.parametrize("outcome", ["passed", "interrupted"])
def test_the_outcome_of_the_last_deploy(settings, make, outcome):
    message = make.message("ABC-111")
    taken = make.taken(message)
    end = (
        make.ended(message, taken=taken)
        if outcome == "passed"
        else DeployInterrupted(deploy=taken.deploy, server=taken.server, by="x", reason="stopped", at=make.clock)
    )
    ended = look(settings, message, taken, end)
    assert (ended.last.deploy, ended.last.outcome, ended.last.ended_at) == (taken.deploy, outcome, time(make.clock))
    assert ended.state == ("idle" if outcome == "passed" else "waiting")


def test_a_server_is_failing_while_issues_of_its_last_deploy_are_retrying_or_parked(settings, make):
    one, other = make.message("ABC-112"), make.message("ABC-111")
    taken = make.taken(one, other)
    failed = [one, other, taken, make.ended(one, other, taken=taken, outcome=Outcome.FAILED)]
    assert look(settings, *failed).state == "failing"
    facts = {"deploy": taken.deploy, "server": taken.server, "reason": "exit code 2"}
    again = one.again(make.clock + 60_000)
    retried = MessagesRetried(**facts, retries=(Retry(failed=one.id, next=again),), at=make.clock)
    decided = [*failed, retried, MessagesParked(**facts, messages=(other.id,))]
    found = look(settings, *decided)
    assert (found.state, found.retried_at) == ("failing", time(again.queued_at))
    assert [*map(str, found.retrying), *map(str, found.parked)] == ["ABC-112", "ABC-111"]

    assert look(settings, *decided, again).state == "waiting"
    newer = [make.message("ABC-111"), make.message("ABC-112")]
    passing = make.taken(*newer)
    passed = look(settings, *decided, *newer, passing, make.ended(*newer, taken=passing))
    assert (passed.state, passed.retrying, passed.retried_at, passed.parked) == ("idle", (), None, ())


def test_times_keep_their_milliseconds_and_have_a_maximum():
    assert time(1_795_000_000_123) == datetime(2026, 11, 18, 11, 6, 40, 123_000, tzinfo=UTC)
    assert time(2**53).year == 9999
