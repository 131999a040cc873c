"""Batches: each issue once, and the newest message of an issue stands."""

from hypothesis import given
from hypothesis import strategies as st

from usher.core.batches import ISSUES_BYTES, Batch, choose
from usher.core.issues import Issue
from usher.core.messages import BackMessage
from usher.core.servers import Server

SERVER = Server("beta.abc.wwts.com", "beta", "abc")


def message(number: int, at: int = 0, project: str = "ABC") -> BackMessage:
    return BackMessage.of(Issue(project, number), SERVER, source="api", now=at)


messages = st.lists(st.builds(message, st.integers(1, 9), st.integers(0, 100)), min_size=1, max_size=40)


@given(messages)
def test_a_batch_has_each_issue_once_sorted_by_number(arrived: list[BackMessage]) -> None:
    issues = Batch.of(arrived).issues
    assert list(issues) == sorted({message.issue for message in arrived})


@given(messages)
def test_every_message_either_stands_or_is_superseded_by_a_newer_one(arrived: list[BackMessage]) -> None:
    batch = Batch.of(arrived)
    assert {m.id for m in (*batch.standing, *batch.superseded)} == {m.id for m in arrived}
    newest = {m.issue: m.queued_at for m in batch.standing}
    assert all(m.queued_at <= newest[m.issue] for m in batch.superseded)


@given(messages, st.integers(1, 5))
def test_a_choice_contains_the_held_message_and_at_most_limit_issues(arrived: list[BackMessage], limit: int) -> None:
    held = arrived[-1]
    chosen = choose(held, arrived, limit)
    assert chosen[0] is held
    assert len({m.id for m in chosen}) == len(chosen)
    assert len({m.issue for m in chosen}) <= limit
    everything = {m.issue for m in arrived}
    if len(everything) <= limit:
        assert {m.id for m in chosen} == {m.id for m in arrived}


def test_the_oldest_are_chosen_first() -> None:
    arrived = [message(number, at=number) for number in range(1, 6)]
    assert [m.issue.number for m in choose(arrived[3], arrived, 3)] == [4, 1, 2]


@given(messages)
def test_a_choice_of_one_issue_has_all_messages_of_the_held_one_s_issue(arrived: list[BackMessage]) -> None:
    held = arrived[-1]
    assert {m.id for m in choose(held, arrived, 1)} == {m.id for m in arrived if m.issue == held.issue}


def test_the_issues_of_a_choice_fit_into_an_argument() -> None:
    arrived = [message(number, project="A" * 250) for number in range(1, 1000)]
    joined = " ".join(str(issue) for issue in Batch.of(choose(arrived[0], arrived, 1000)).issues)
    assert ISSUES_BYTES - 300 < len(joined) <= ISSUES_BYTES


def test_an_older_message_that_arrives_later_does_not_stand() -> None:
    newer, older = message(1, at=10), message(1, at=5)
    assert Batch.of([newer, older]).standing == (newer,)
