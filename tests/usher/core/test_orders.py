"""Orders on the board: which messages each applies to, what it changes, and that it takes effect once."""

import gzip
import json
from dataclasses import replace
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from usher.core.batches import Batch
from usher.core.board.board import Board
from usher.core.board.ordered import due
from usher.core.checkpoints import Checkpoint, decode_checkpoint, encode_checkpoint
from usher.core.events import (
    DeployEnded,
    DeployTaken,
    Event,
    MessagesParked,
    MessagesRetried,
    MessagesWithdrawn,
    Outcome,
    Retry,
    decode,
    decode_order,
    encode,
)
from usher.core.issues import Issue
from usher.core.messages import BackMessage
from usher.core.orders import DropOrder, LeftIssue, Order, OrderDone, RetryOrder, WithdrawOrder
from usher.core.servers import Server
from usher.core.states import State

SERVER = Server("beta.abc.wwts.com", "beta", "abc")
GIVEN = 1000
"""When orders are given (ms)."""


def message(number: int, at: int = 0) -> BackMessage:
    """Message `number` is about issue ABC-(number mod 3 + 1)."""
    made = BackMessage.of(Issue("ABC", number % 3 + 1), SERVER, source="api", now=at)
    return replace(made, id=f"{number:032x}")


def taken(deploy: int, *messages: BackMessage) -> DeployTaken:
    ids = tuple(m.id for m in messages)
    return DeployTaken(deploy=f"{deploy:012x}", server=SERVER.name, holder="me", fence=deploy, messages=ids, taken_at=0)


def ended(deploy: int, *messages: BackMessage, outcome: Outcome = Outcome.FAILED) -> DeployEnded:
    batch = Batch.of(messages)
    return DeployEnded(
        deploy=f"{deploy:012x}", server=SERVER.name, outcome=outcome, reason="", exit_code=0, rehearsed=False,
        command=("x",), standing=batch.standing, superseded=tuple(m.id for m in batch.superseded),
        started_at=0, ended_at=0, output="", truncated=False, log=None,
    )  # fmt: skip


def failing(deploy: int, *messages: BackMessage) -> list[Event]:
    return [*messages, taken(deploy, *messages), ended(deploy, *messages)]


def parked(deploy: int, *messages: BackMessage) -> list[Event]:
    ids = tuple(m.id for m in messages)
    parks = MessagesParked(deploy=f"{deploy:012x}", server=SERVER.name, messages=ids, reason="")
    return [*failing(deploy, *messages), parks]


def retried(*messages: BackMessage, at: int = GIVEN, order: str | None = None) -> MessagesRetried:
    retries = tuple(Retry(failed=m.id, next=m.again(at)) for m in messages)
    return MessagesRetried(deploy=None, server=SERVER.name, retries=retries, reason="", order=order, at=0)


def withdrawn(order: str | None, *messages: BackMessage) -> MessagesWithdrawn:
    ids = tuple(m.id for m in messages)
    return MessagesWithdrawn(server=SERVER.name, messages=ids, by="me", order=order, at=0)


def facts(number: int, *issues: int) -> dict[str, object]:
    named = tuple(Issue("ABC", n) for n in issues)
    return {"id": f"{number:032x}", "by": "me", "at": GIVEN, "servers": (SERVER.name,), "issues": named}


def withdraw(number: int, *issues: int) -> WithdrawOrder:
    return WithdrawOrder(**facts(number, *issues))


def retry(number: int, *issues: int, deploy: str | None = None, moves: tuple[str, ...] = ()) -> RetryOrder:
    return RetryOrder(**facts(number, *issues), deploy=deploy, moves=moves)


def drop(number: int, *issues: int) -> DropOrder:
    return DropOrder(**facts(number, *issues))


def done(order: Order, *left: LeftIssue) -> OrderDone:
    return OrderDone(order=order.id, at=GIVEN + 1, left=left)


def board_of(*events: Event) -> Board:
    board = Board()
    for event in events:
        board.apply(event, now=GIVEN, read_at=0.0)
    return board


def still_due(order: Order, *events: Event) -> list[str]:
    """The ids of the messages that an order, which is among these events, still has to change."""
    board = board_of(*events)
    entry = board.orders.get(order.id)
    assert entry
    return [known.message.id for known in due(entry, SERVER.name, board.server(SERVER.name))]


def test_a_withdrawal_applies_to_the_messages_of_its_issues_that_are_pending_when_it_is_given() -> None:
    failed, parks, waits, other, later = (message(n) for n in (0, 3, 6, 1, 9))
    order = withdraw(1, 1)
    assert still_due(order, *failing(1, failed), *parked(2, parks), waits, other, order, later) == [waits.id, failed.id]


def test_a_withdrawal_applies_to_a_deploying_message_until_that_is_written() -> None:
    running, order = message(0), withdraw(1, 1)
    journal = [running, taken(1, running), order]
    assert still_due(order, *journal) == [running.id]
    written = withdrawn(order.id, running)
    assert still_due(order, *journal, written) == []
    entry = board_of(*journal, written).orders.get(order.id)
    assert entry
    assert [(str(r.issue), r.server, r.deploy) for r in entry.running.values()] == [("ABC-1", SERVER.name, f"{1:012x}")]
    assert entry.changed == {}


def test_a_withdrawal_also_applies_to_the_next_attempt_of_a_move() -> None:
    failed, order = message(0), withdraw(1, 1)
    again = failed.again(GIVEN)
    assert still_due(order, *failing(1, failed), order, retried(failed)) == [again.id]
    assert still_due(order, *failing(1, failed), order, retried(failed), again) == [again.id]


def test_a_drop_applies_to_the_parked_messages_of_its_issues_or_to_all() -> None:
    one, other, failed = message(0), message(1), message(2)
    journal = [*parked(1, one, other), *failing(2, failed)]
    for order, meant in ((drop(1), [one, other]), (drop(2, 1), [one]), (drop(3, 3), [])):
        assert still_due(order, *journal, order) == [m.id for m in meant]


def test_a_retry_applies_to_parked_messages_and_to_retrying_ones_that_are_named_or_overdue() -> None:
    one, soon, late = message(0), message(1), message(2)
    journal = [*parked(1, one), *failing(2, soon, late), retried(soon, at=GIVEN), retried(late, at=GIVEN + 1)]
    assert still_due(retry(1), *journal, retry(1)) == [one.id, soon.again(GIVEN).id]
    assert still_due(retry(2, 3), *journal, retry(2, 3)) == [late.again(GIVEN).id]


def test_the_retry_of_a_deploy_applies_to_its_moves_that_have_not_passed() -> None:
    failed, parks, returns, other = (message(n) for n in (0, 1, 2, 3))
    order = retry(1, deploy=f"{1:012x}", moves=tuple(m.id for m in (failed, parks, returns)))
    journal = [*parked(1, parks), *failing(2, failed, returns), *failing(3, other), retried(returns), order]
    assert still_due(order, *journal) == [parks.id, failed.id, returns.again(GIVEN).id]


def test_an_order_that_is_published_twice_is_one_order_and_keeps_its_place() -> None:
    first, later, order = message(0), message(3), withdraw(1, 1)
    assert still_due(order, first, order, later, order) == [first.id]


def test_an_order_that_is_done_changes_nothing() -> None:
    first, order = message(0), withdraw(1, 1)
    board = board_of(first, order, done(order), withdrawn(order.id, first))
    assert board.state(first.id) is State.WAITING
    parks, again = message(1), retry(2)
    board = board_of(*parked(1, parks), again, done(again), retried(parks, order=again.id))
    assert board.state(parks.id) is State.PARKED


def test_the_changes_and_the_unchanged_issues_of_an_order_are_remembered() -> None:
    first, parks, order, again = message(0), message(1), withdraw(1, 1, 3), retry(2)
    left = LeftIssue(issue=Issue("ABC", 3), server=SERVER.name, why="it is not pending")
    journal = [first, *parked(1, parks), order, withdrawn(order.id, first), again, retried(parks, order=again.id)]
    entries = board_of(*journal, done(order, left), done(again)).orders.entries
    withdrew, requeued = entries.values()
    assert [(m, c.attempt) for m, c in withdrew.changed.items()] == [(first.id, 1)]
    assert [(m, c.attempt) for m, c in requeued.changed.items()] == [(parks.again(GIVEN).id, 2)]
    assert (withdrew.left, withdrew.done_at, withdrew.meant) == ((left,), GIVEN + 1, {})


def test_the_oldest_completed_orders_are_forgotten_and_unfinished_ones_never(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("usher.core.board.orders.REMEMBERED", 2)
    one, two, three, four = (withdraw(n, 1) for n in range(1, 5))
    assert list(board_of(one, two, done(two), three).orders.entries) == [one.id, three.id]
    unfinished = board_of(one, two, done(two), three, four).orders.entries
    assert list(unfinished) == [one.id, three.id, four.id]


def test_a_republished_order_applies_to_nothing_that_was_published_after_it_was_given() -> None:
    older, newer = message(0, at=GIVEN), message(3, at=GIVEN + 1)
    order = withdraw(1, 1)
    assert older.issue == newer.issue
    again = order.model_copy(update={"republished": True})
    for one, means in ((order, 2), (again, 1)):
        [targets] = board_of(older, newer, one).orders.entries[order.id].meant.values()
        assert len(targets) == means


def test_large_old_orders_are_abridged_to_who_gave_them_and_when(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("usher.core.board.orders.DETAILS", 5)
    one, two = withdraw(1, 1, 2, 3), withdraw(2, 1)
    board = board_of(one, done(one), two, done(two))
    first, second = board.orders.entries.values()
    assert (first.abridged, first.order.by, first.order.issues, first.done_at) == (True, "me", (), GIVEN + 1)
    assert (second.abridged, second.order.issues) == (False, (Issue("ABC", 1),))


def test_orders_are_encoded_completely_and_other_events_are_refused() -> None:
    for order in (withdraw(1, 1), retry(2, deploy="0" * 12, moves=("1" * 32,)), drop(3)):
        assert decode_order(encode(order)) == order
    with pytest.raises(Exception, match="message is not an order"):
        decode_order(encode(message(1)))


def test_a_checkpoint_without_orders_can_be_read() -> None:
    body = json.loads(gzip.decompress(encode_checkpoint(Checkpoint.of(board_of(message(1)), through=1, at=0))))
    del body["orders"]
    board = decode_checkpoint(gzip.compress(json.dumps(body).encode())).board(read_at=0.0)
    assert board.orders.entries == {}


numbers = st.integers(0, 5)
messages = st.lists(st.builds(message, numbers), min_size=1, max_size=3)
attempts = st.lists(
    st.builds(lambda m, more: m.again(GIVEN) if more else m, st.builds(message, numbers), st.booleans()), max_size=3
)
order_ids = st.integers(0, 3)
named = st.lists(st.integers(1, 3), max_size=2)
orders = st.builds(lambda make, n, issues: make(n, *issues), st.sampled_from([withdraw, retry, drop]), order_ids, named)
journals = st.lists(
    st.one_of(
        st.builds(message, numbers),
        st.builds(lambda d, ms: taken(d, *ms), st.integers(1, 3), messages),
        st.builds(lambda d, ms: ended(d, *ms), st.integers(1, 3), messages),
        st.builds(lambda d, ms: parked(d, *ms)[-1], st.integers(1, 3), messages),
        st.builds(lambda ms, n: retried(*ms, order=f"{n:032x}"), attempts, order_ids),
        st.builds(lambda ms, n: withdrawn(f"{n:032x}", *ms), attempts, order_ids),
        orders,
        st.builds(done, orders),
    ),
    max_size=50,
)


@given(journals, st.integers(0, 50), st.sampled_from([2, 10_000]), st.sampled_from([4, 100_000]))
def test_orders_from_a_checkpoint_continue_as_if_everything_had_been_read(
    journal: list[Event], cut: int, remembered: int, details: int
) -> None:
    with patch.multiple("usher.core.board.orders", REMEMBERED=remembered, DETAILS=details):
        whole, half = board_of(*journal), board_of(*journal[:cut])
        again = decode_checkpoint(encode_checkpoint(Checkpoint.of(half, through=cut, at=0))).board(read_at=0.0)
        for event in journal[cut:]:
            again.apply(event, now=GIVEN, read_at=0.0)
    assert list(again.orders.entries.items()) == list(whole.orders.entries.items())
    assert again.servers == whole.servers


@given(journals)
def test_two_readers_have_the_same_orders_after_encoding_and_decoding(journal: list[Event]) -> None:
    one, other = board_of(*journal), board_of(*(decode(encode(event)) for event in journal))
    assert list(one.orders.entries.items()) == list(other.orders.entries.items())


@given(journals)
def test_no_order_applies_to_a_message_that_is_newer_than_the_order(journal: list[Event]) -> None:
    board, first_at, given_at = Board(), dict[str, int](), dict[str, int]()
    for place, event in enumerate(journal):
        board.apply(event, now=GIVEN, read_at=0.0)
        if isinstance(event, BackMessage):
            first_at.setdefault(event.move, place)
        if isinstance(event, Order):
            given_at.setdefault(event.id, place)
    for order, entry in board.orders.entries.items():
        for known in due(entry, SERVER.name, board.server(SERVER.name)):
            assert first_at[known.message.move] < given_at[order]
