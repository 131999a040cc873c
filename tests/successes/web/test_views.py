"""The API's view of a server, computed from its board."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from successes.web.views import server_states
from usher.api.types import time
from usher.core.board.board import Board
from usher.core.events import (
    DeployInterrupted,
    DeployStuck,
    MessagesParked,
    MessagesRetried,
    MessagesWithdrawn,
    Outcome,
    Retry,
    TakeoverWaited,
)
from usher.settings import load


@pytest.fixture
def settings():
    """Settings without a ledger, which these tests do not need."""
    return load({})


def look(settings, *events, name="beta.abc.wwts.com", at=0):
    """The server at that time (ms), after these events."""
    board = Board()
    for event in events:
        board.apply(event, now=2**50, read_at=0)
    (state,) = server_states([settings.catalogue.named(name)], board, settings, at)
    return state


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


def reasons(found):
    return found.state, found.reason, found.since, found.next_change, found.next_reason


def test_an_open_window_says_until_when_and_by_which_rule(settings, make):
    first = make.message("ABC-111")
    opened, quiet, cap = first.queued_at, 120_000, 496_800
    waits = look(settings, first, at=opened)
    rule = "the window closes 2 min after the last message"
    assert reasons(waits) == ("waiting", "its window is open", time(opened), time(opened + quiet), rule)
    assert waits.window_limit_at == time(opened + cap)

    late = replace(make.message("ABC-112"), queued_at=opened + cap - 1)
    waits = look(settings, first, late, at=opened)
    rule = "the window closes 8 min 17 s after the first message, at the latest"
    assert reasons(waits)[3:] == (time(opened + cap), rule)


def test_a_closed_window_says_what_the_deploy_waits_for(make):
    settings = load({"USHER_DEPLOYS__PARALLEL": "1"})
    message = make.message("ABC-111")
    closed = message.queued_at + 120_000
    why = "its window has closed; its deploy is about to begin"
    assert reasons(look(settings, message, at=closed)) == ("waiting", why, time(message.queued_at), None, None)
    why = "its window has closed, but no `deploys` has begun its deploy; is one running? Run `usher doctor`"
    assert look(settings, message, at=closed + 5000).reason == why
    other = make.message("DEF-7")
    why = "its window has closed; it waits for a free slot (1 deploy running)"
    assert look(settings, message, other, make.taken(other), at=closed + 5000).reason == why


def test_a_deploy_that_runs_far_longer_than_it_may_is_overdue(settings, make):
    message = make.message("ABC-111")
    taken = make.taken(message)
    limit = taken.taken_at + 40 * 60_000
    runs = look(settings, message, taken, at=limit + 70_000)
    why = f"deploy {taken.deploy} has begun, and has not reported its end"
    assert reasons(runs) == ("deploying", why, time(taken.taken_at), time(limit), "its time limit ends")
    late = look(settings, message, taken, at=limit + 70_001)
    assert (late.state, late.running.deploy, late.next_change) == ("overdue", taken.deploy, None)
    assert late.reason.startswith(
        f"deploy {taken.deploy} may run for 40 min, but has not reported its end; is `deploys`"
    )


def test_while_the_command_of_a_lost_process_may_be_running_the_server_is_recovering(settings, make):
    message = make.message("ABC-111")
    taken = make.taken(message)
    waits = TakeoverWaited(
        server=taken.server, holder="another", deploy=taken.deploy, until=taken.taken_at + 90_000, at=taken.taken_at
    )
    seen = look(settings, message, taken, waits, at=taken.taken_at + 60_000)
    why = f"the process that ran deploy {taken.deploy} was lost; its command may still be running"
    until = time(waits.until), "its command is dead by then, at the latest"
    assert reasons(seen) == ("recovering", why, time(waits.at), *until)
    gone = DeployInterrupted(deploy=taken.deploy, server=taken.server, by="another", reason="lost", at=1)
    assert look(settings, message, taken, waits, gone, at=taken.taken_at + 60_000).state == "waiting"
    assert look(settings, message, taken, waits, at=waits.until + 60_000).state == "deploying"


def test_a_server_whose_command_cannot_be_killed_is_stuck_and_says_what_ends_that(settings, make):
    message = make.message("ABC-111")
    taken = make.taken(message)
    facts = {"deploy": taken.deploy, "server": taken.server, "by": taken.holder}
    stuck = DeployStuck(**facts, reason="process 7 of user root cannot be killed", pids=(7,), at=taken.taken_at)
    seen = look(settings, message, taken, stuck, at=taken.taken_at + 5000)
    why = (
        f"deploy {taken.deploy}: process 7 of user root cannot be killed; no other deploy begins; "
        f"`usher abort --gone {taken.deploy}` says that it has ended, if Usher cannot see it"
    )
    assert reasons(seen) == ("stuck", why, time(taken.taken_at), None, None)
    assert seen.running.deploy == taken.deploy


def test_a_server_is_failing_while_issues_of_its_last_deploy_are_retrying_or_parked(settings, make):
    one, other = make.message("ABC-112"), make.message("ABC-111")
    taken = make.taken(one, other)
    failed = [one, other, taken, make.ended(one, other, taken=taken, outcome=Outcome.FAILED)]
    undecided = look(settings, *failed)
    assert (undecided.state, undecided.reason) == ("failing", "2 messages have just failed")
    facts = {"deploy": taken.deploy, "server": taken.server, "reason": "exit code 2"}
    again = one.again(make.clock + 60_000)
    retried = MessagesRetried(**facts, retries=(Retry(failed=one.id, next=again),), at=make.clock)
    decided = [*failed, retried, MessagesParked(**facts, messages=(other.id,))]
    found = look(settings, *decided)
    why = "1 message waits for its next attempt, 1 message is parked until somebody decides"
    due = time(again.queued_at)
    assert reasons(found) == ("failing", why, time(make.clock), due, "the next attempt is due")
    assert found.retried_at == due
    assert [*map(str, found.retrying), *map(str, found.parked)] == ["ABC-112", "ABC-111"]

    assert look(settings, *decided, again).state == "waiting"
    newer = [make.message("ABC-111"), make.message("ABC-112")]
    passing = make.taken(*newer)
    passed = look(settings, *decided, *newer, passing, make.ended(*newer, taken=passing))
    assert (passed.state, passed.retrying, passed.retried_at, passed.parked) == ("idle", (), None, ())


def test_what_is_left_of_a_failed_deploy_shows_also_after_a_pass(settings, make):
    one, other, third = (make.message(key) for key in ("ABC-112", "ABC-111", "ABC-113"))
    taken = make.taken(one, other)
    facts = {"deploy": taken.deploy, "server": taken.server, "reason": "exit code 2"}
    again = one.again(make.clock + 60_000)
    failed = [
        *(one, other, third, taken, make.ended(one, other, taken=taken, outcome=Outcome.FAILED)),
        MessagesRetried(**facts, retries=(Retry(failed=one.id, next=again),), at=make.clock),
        MessagesParked(**facts, messages=(other.id,)),
    ]
    passing = make.taken(third)
    passed = [*failed, passing, make.ended(third, taken=passing)]
    found = look(settings, *passed)
    assert (found.state, found.last.outcome, found.next_change) == ("retrying", "passed", time(again.queued_at))
    withdrawn = MessagesWithdrawn(server=taken.server, messages=(again.id,), by="jane", at=make.clock)
    found = look(settings, *passed, withdrawn)
    assert (found.state, found.reason) == ("parked", "1 message is parked until somebody decides")


def test_times_keep_their_milliseconds_and_have_a_maximum():
    assert time(1_795_000_000_123) == datetime(2026, 11, 18, 11, 6, 40, 123_000, tzinfo=UTC)
    assert time(2**53).year == 9999
