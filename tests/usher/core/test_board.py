"""The board: all readers of a journal compute the same board."""

import gzip

import pytest
from hypothesis import given
from hypothesis import strategies as st

from usher.core.batches import Batch
from usher.core.board.board import Board
from usher.core.board.pending import Pending
from usher.core.checkpoints import Checkpoint, Header, decode_checkpoint, encode_checkpoint, header_of
from usher.core.errors import Unreadable
from usher.core.events import (
    DeployEnded,
    DeployInterrupted,
    DeployStuck,
    DeployTaken,
    Event,
    MessagesParked,
    MessagesRetried,
    MessagesWithdrawn,
    Outcome,
    Retry,
    TurnGivenBack,
    decode,
    encode,
)
from usher.core.issues import Issue
from usher.core.messages import BackMessage
from usher.core.orders import AbortOrder, OrderDone, WithdrawOrder
from usher.core.servers import Server
from usher.core.states import BEFORE, TERMINAL, State

SERVER = Server("beta.abc.wwts.com", "beta", "abc")


def message(n: int, at: int = 0) -> BackMessage:
    return BackMessage.of(Issue("ABC", n % 3 + 1), SERVER, source="api", now=at, identity=("site", str(n)))


def taken(deploy: int, *numbers: int) -> DeployTaken:
    ids = tuple(message(n).id for n in numbers)
    return DeployTaken(
        deploy=f"{deploy:012x}", server=SERVER.name, holder="me", fence=deploy, messages=ids, taken_at=deploy
    )


def ended(deploy: int, outcome: Outcome, *numbers: int) -> DeployEnded:
    batch = Batch.of(message(n, at=n) for n in numbers)
    return DeployEnded(
        deploy=f"{deploy:012x}", server=SERVER.name, outcome=outcome, reason="", exit_code=0, rehearsed=False,
        command=("x",), standing=batch.standing, superseded=tuple(m.id for m in batch.superseded),
        started_at=0, ended_at=0, output="", truncated=False, log=None,
    )  # fmt: skip


def ended_of(deploy: int, *messages: BackMessage, outcome: Outcome = Outcome.FAILED) -> DeployEnded:
    return ended(deploy, outcome).model_copy(update={"standing": messages})


def interrupted(deploy: int) -> DeployInterrupted:
    return DeployInterrupted(deploy=f"{deploy:012x}", server=SERVER.name, by="me", reason="", at=0)


def gone(deploy: int) -> DeployInterrupted:
    return interrupted(deploy).model_copy(update={"gone": True})


def stuck(deploy: int) -> DeployStuck:
    return DeployStuck(deploy=f"{deploy:012x}", server=SERVER.name, by="me", reason="", pids=(7,), user="root", at=0)


def parked(deploy: int, *numbers: int) -> MessagesParked:
    ids = tuple(message(n).id for n in numbers)
    return MessagesParked(deploy=f"{deploy:012x}", server=SERVER.name, messages=ids, reason="")


def retried(deploy: int, *messages: BackMessage, by: str | None = None) -> MessagesRetried:
    retries = tuple(Retry(failed=m.id, next=m.again(at=500)) for m in messages)
    return MessagesRetried(deploy=f"{deploy:012x}", server=SERVER.name, retries=retries, reason="", by=by, at=0)


def withdrawn(*messages: BackMessage) -> MessagesWithdrawn:
    return MessagesWithdrawn(server=SERVER.name, messages=tuple(m.id for m in messages), by="me", at=0)


def failing(deploy: int, *numbers: int) -> list[Event]:
    return [taken(deploy, *numbers), ended(deploy, Outcome.FAILED, *numbers)]


def board_of(*events: Event) -> Board:
    board = Board()
    for event in events:
        board.apply(event, now=1000, read_at=0.0)
    return board


def states(board: Board, *numbers: int) -> list[State | None]:
    return [board.state(message(n).id) for n in numbers]


def test_a_message_is_waiting_then_deploying_then_deployed() -> None:
    journal = [message(1), taken(1, 1), ended(1, Outcome.PASSED, 1)]
    assert [states(board_of(*journal[: n + 1]), 1) for n in range(3)] == [
        [State.WAITING], [State.DEPLOYING], [State.DEPLOYED],
    ]  # fmt: skip


def test_only_one_taking_is_granted_at_a_time_and_another_never_takes_effect() -> None:
    board = board_of(message(1), message(2), taken(1, 1), taken(2, 2), interrupted(1))
    assert board.server(SERVER.name).running is None
    assert states(board, 1, 2) == [State.WAITING, State.WAITING]


def test_a_taking_without_waiting_messages_is_not_granted() -> None:
    assert board_of(taken(1, 1), message(1)).server(SERVER.name).running is None


def test_the_batch_of_a_taking_is_its_messages_that_are_still_waiting() -> None:
    board = board_of(message(1), message(2), taken(1, 1), ended(1, Outcome.PASSED, 1), taken(2, 1, 2))
    running = board.server(SERVER.name).running
    assert running
    assert [m.id for m in running.batch] == [message(2).id]


def test_an_interrupted_batch_waits_again() -> None:
    board = board_of(message(1), taken(1, 1), interrupted(1))
    assert states(board, 1) == [State.WAITING]
    assert board.server(SERVER.name).waiting == (message(1),)


def test_a_result_after_the_interruption_changes_nothing() -> None:
    board = board_of(message(1), taken(1, 1), interrupted(1), ended(1, Outcome.PASSED, 1))
    assert states(board, 1) == [State.WAITING]


def test_the_older_messages_of_an_issue_are_superseded_by_the_newest() -> None:
    board = board_of(message(1), message(4, at=4), taken(1, 1, 4), ended(1, Outcome.PASSED, 1, 4))
    assert states(board, 1, 4) == [State.SUPERSEDED, State.DEPLOYED]


def test_a_message_that_a_result_names_twice_has_one_state() -> None:
    twice = ended(1, Outcome.FAILED, 1, 1)
    assert twice.superseded == (message(1).id,)
    board = board_of(message(1), taken(1, 1), twice)
    assert states(board, 1) == [State.FAILED]
    assert not board.closed


def test_only_failed_messages_are_parked() -> None:
    journal = [message(1), taken(1, 1), ended(1, Outcome.FAILED, 1)]
    assert states(board_of(*journal), 1) == [State.FAILED]
    assert states(board_of(*journal, parked(1, 1)), 1) == [State.PARKED]
    assert states(board_of(message(1), parked(1, 1)), 1) == [State.WAITING]


def test_a_message_that_is_parked_before_its_result_is_read_is_parked() -> None:
    board = board_of(message(1), taken(1, 1), parked(1, 1), ended(1, Outcome.FAILED, 1))
    assert states(board, 1) == [State.PARKED]


def test_a_message_that_is_received_again_is_the_same_message() -> None:
    board = board_of(message(1), message(1), taken(1, 1), ended(1, Outcome.PASSED, 1), message(1))
    assert states(board, 1) == [State.DEPLOYED]
    assert board.server(SERVER.name).waiting == ()


def test_a_retry_is_a_separate_message_that_waits_once_it_returns() -> None:
    first, again = message(1), message(1).again(at=500)
    journal = [first, *failing(1, 1), retried(1, first)]
    assert [board_of(*journal).state(m.id) for m in (first, again)] == [State.RETRIED, State.RETRYING]
    board = board_of(*journal, again)
    assert [board.state(m.id) for m in (first, again)] == [State.RETRIED, State.WAITING]
    assert board.server(SERVER.name).waiting == (again,)
    assert (again.move, again.age, again.attempt) == (first.id, first.queued_at, 2)


def test_a_retry_that_is_decided_before_the_result_is_read_takes_effect_with_the_result() -> None:
    board = board_of(message(1), taken(1, 1), retried(1, message(1)), ended(1, Outcome.FAILED, 1))
    assert board.state(message(1).again(at=500).id) is State.RETRYING
    board = board_of(message(1), taken(1, 1), retried(1, message(1)), interrupted(1))
    assert states(board, 1) == [State.WAITING]
    assert board.state(message(1).again(at=500).id) is State.SUPERSEDED


def test_a_repeated_decision_to_retry_settles_the_failed_message_even_if_the_next_attempt_is_known() -> None:
    """The journal has lost the first decision, but not the next attempt."""
    board, failed = Board(), message(1)
    again = failed.again(5, deploy="1")
    decided = MessagesRetried(
        deploy=f"{1:012x}", server=SERVER.name, retries=(Retry(failed=failed.id, next=again),), reason="", at=0
    )
    for event in (failed, taken(1, 1), again, ended(1, Outcome.FAILED, 1)):
        board.apply(event, now=0, read_at=0)
    assert board.state(failed.id) is State.FAILED
    changes = board.apply(decided, now=0, read_at=0)
    assert [(change.message, change.state) for change in changes] == [(failed.id, State.RETRIED)]
    assert board.state(again.id) is State.WAITING
    assert not board.server(SERVER.name).undecided


def test_an_early_retry_of_a_message_that_is_withdrawn_meanwhile_is_withdrawn_too() -> None:
    first = message(1)
    board = board_of(first, taken(1, 1), retried(1, first), withdrawn(first), ended(1, Outcome.FAILED, 1))
    assert [board.state(m.id) for m in (first, first.again(at=500))] == [State.WITHDRAWN, State.WITHDRAWN]


def test_a_pass_settles_older_attempts_of_its_issues_but_never_newer_ones() -> None:
    older, newer, other = message(1, at=1), message(4, at=7), message(2, at=1)
    passing = [message(7, at=5), taken(9, 7), ended(9, Outcome.PASSED, 7)]
    for decision, state in ((retried(1, older), State.RETRIED), (parked(1, 1), State.SUPERSEDED)):
        board = board_of(older, taken(1, 1), ended_of(1, older), decision, *passing)
        assert board.state(older.id) is state
        assert board.state(older.again(at=500).id) in (None, State.SUPERSEDED)
    board = board_of(newer, other, taken(1, 4, 2), ended_of(1, newer, other), parked(1, 4, 2), *passing)
    assert [board.state(m.id) for m in (newer, other)] == [State.PARKED, State.PARKED]


def test_a_retry_that_returns_while_a_newer_message_is_deployed_is_settled_by_the_pass() -> None:
    older, newer = message(1, at=1), message(4, at=7)
    again = older.again(at=500)
    journal = [older, taken(1, 1), ended_of(1, older), retried(1, older), newer, taken(2, 4), again]
    assert board_of(*journal, ended_of(2, newer, outcome=Outcome.PASSED)).state(again.id) is State.SUPERSEDED
    assert board_of(*journal, interrupted(2)).state(again.id) is State.WAITING


def test_waiting_and_parked_messages_are_withdrawn_at_once_and_deploying_ones_only_without_a_pass() -> None:
    first = message(1)
    assert states(board_of(first, withdrawn(first)), 1) == [State.WITHDRAWN]
    assert states(board_of(first, *failing(1, 1), parked(1, 1), withdrawn(first)), 1) == [State.WITHDRAWN]
    running = [first, taken(1, 1), withdrawn(first)]
    assert states(board_of(*running), 1) == [State.DEPLOYING]
    assert states(board_of(*running, ended(1, Outcome.PASSED, 1)), 1) == [State.DEPLOYED]
    assert states(board_of(*running, ended(1, Outcome.FAILED, 1)), 1) == [State.WITHDRAWN]
    assert states(board_of(*running, interrupted(1)), 1) == [State.WITHDRAWN]
    again = first.again(at=500)
    assert board_of(first, *failing(1, 1), retried(1, first), withdrawn(again), again).state(again.id) is (
        State.WITHDRAWN
    )


def test_an_order_retries_a_parked_message_once() -> None:
    first, again = message(1), message(1).again(at=500)
    order = retried(1, first, by="me")
    board = board_of(first, *failing(1, 1), parked(1, 1), order, order)
    assert [board.state(m.id) for m in (first, again)] == [State.RETRIED, State.RETRYING]


def test_the_number_of_remembered_settled_messages_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("usher.core.board.board.REMEMBERED", 2)
    monkeypatch.setattr("usher.core.board.board.FORGOTTEN", 1)
    sent = [message(number) for number in range(1, 6)]
    board = board_of(*sent, *(withdrawn(one) for one in sent[:3]))
    assert states(board, 1, 2, 3) == [State.WITHDRAWN] * 3
    board = board_of(*sent, *(withdrawn(one) for one in sent[:4]))
    assert states(board, 1, 2, 3, 4) == [None, None, State.WITHDRAWN, State.WITHDRAWN]


def test_a_time_in_the_future_counts_as_now() -> None:
    assert board_of(message(1, at=10**9)).server(SERVER.name).pending.arrivals == (1000, 1000)


def test_a_message_that_arrives_during_a_deploy_keeps_its_arrival_time() -> None:
    board = board_of(message(1, at=1), taken(1, 1), message(2, at=7))
    assert board.server(SERVER.name).pending.arrivals == (7, 7)


def test_a_taking_with_a_fence_that_no_next_one_could_exceed_is_not_granted() -> None:
    poisoned = taken(1, 1).model_copy(update={"fence": 2**63 - 1})
    server = board_of(message(1), poisoned).server(SERVER.name)
    assert (server.running, server.fence) == (None, 0)
    assert board_of(message(1), poisoned, taken(2, 1)).server(SERVER.name).running is not None


def test_a_retry_that_waits_is_due_and_opens_no_window() -> None:
    first = message(1, at=1)
    again = first.again(at=500)
    board = board_of(first, *failing(1, 1), retried(1, first), again, message(2, at=7))
    server = board.server(SERVER.name)
    assert (server.pending.arrivals, server.pending.due) == ((7, 7), (500,))


def cleanly_ended(*events: Event) -> list[list[int]]:
    """For messages 1 and 2: the delivery counts (1 to 3) for which the turn before that delivery ended cleanly."""
    server = board_of(message(1), message(2), *events).server(SERVER.name)
    return [[returns for returns in (1, 2, 3) if server.is_over(message(n).id, returns)] for n in (1, 2)]


def test_giving_a_turn_back_applies_to_the_next_delivery_only() -> None:
    given = TurnGivenBack(server=SERVER.name, message=message(1).id, holder="me", delivery_count=1)
    assert cleanly_ended() == [[], []]
    assert cleanly_ended(given) == [[1, 2], []]
    assert cleanly_ended(given, taken(1, 1, 2)) == [[1, 2], []]
    assert cleanly_ended(given.model_copy(update={"delivery_count": None})) == [[], []]


def test_a_result_ends_the_turn_of_the_held_message_for_its_next_delivery_only() -> None:
    passed = ended(1, Outcome.PASSED, 1, 2)
    assert cleanly_ended(taken(1, 1, 2), passed) == [[], []]
    assert cleanly_ended(taken(1, 1, 2), passed.model_copy(update={"held": message(1).id, "delivery_count": 1})) == [
        [1, 2],
        [],
    ]


def test_an_interruption_ends_the_turn_only_if_it_names_the_held_message() -> None:
    within = interrupted(1)
    assert cleanly_ended(taken(1, 1, 2), within) == [[], []]
    assert cleanly_ended(taken(1, 1, 2), within.model_copy(update={"held": message(1).id, "delivery_count": 0})) == [
        [1],
        [],
    ]


def test_a_stuck_deploy_ends_only_when_its_command_is_gone_and_until_then_no_taking_is_granted() -> None:
    journal = [message(1), message(2), taken(1, 1), stuck(1), interrupted(1), taken(2, 2)]
    board = board_of(*journal)
    assert states(board, 1, 2) == [State.DEPLOYING, State.WAITING]
    assert board.needs == 2
    board = board_of(*journal, gone(1), taken(3, 1, 2))
    assert states(board, 1, 2) == [State.DEPLOYING, State.DEPLOYING]
    assert board.needs == 1


def test_a_command_that_turns_out_to_be_stuck_after_its_deploy_was_interrupted_blocks_its_server_too() -> None:
    journal = [message(1), taken(1, 1), interrupted(1), taken(2, 1), stuck(1), ended(2, Outcome.FAILED, 1), message(2)]
    assert states(board_of(*journal, taken(3, 2)), 1, 2) == [State.FAILED, State.WAITING]
    assert states(board_of(*journal, gone(1), taken(3, 2)), 2) == [State.DEPLOYING]


def test_a_result_ends_a_stuck_deploy() -> None:
    board = board_of(message(1), taken(1, 1), stuck(1), ended(1, Outcome.PASSED, 1), message(2), taken(2, 2))
    assert states(board, 1, 2) == [State.DEPLOYED, State.DEPLOYING]


def test_a_checkpoint_leaves_completed_orders_out_that_an_older_reader_could_not_decode() -> None:
    withdraw, abort = ("a" * 32), ("b" * 32)
    board = board_of(
        WithdrawOrder(id=withdraw, by="ann", at=0, servers=(SERVER.name,)),
        AbortOrder(id=abort, by="ann", at=0, servers=(SERVER.name,), deploy=f"{1:012x}"),
    )
    assert (board.needs, set(restored(board).orders.entries)) == (2, {withdraw, abort})
    board.apply(OrderDone(order=abort, at=1), now=1000, read_at=0.0)
    assert (board.needs, set(restored(board).orders.entries)) == (1, {withdraw})


def restored(board: Board) -> Board:
    return decode_checkpoint(encode_checkpoint(Checkpoint.of(board, through=1, at=0))).board(read_at=0.0)


numbers = st.lists(st.integers(0, 8), min_size=1, max_size=4)
deploys = st.integers(1, 4)
attempts = st.lists(
    st.builds(lambda n, more: message(n).again(at=500) if more else message(n), st.integers(0, 8), st.booleans()),
    min_size=1, max_size=3,
)  # fmt: skip
journals = st.lists(
    st.one_of(
        st.builds(message, st.integers(0, 8), st.integers(0, 100)),
        st.builds(lambda d, ns: taken(d, *ns), deploys, numbers),
        st.builds(
            lambda d, o, ns: ended(d, o, *ns), deploys, st.sampled_from([Outcome.PASSED, Outcome.FAILED]), numbers
        ),
        st.builds(interrupted, deploys),
        st.builds(stuck, deploys),
        st.builds(gone, deploys),
        st.builds(lambda d, ns: parked(d, *ns), deploys, numbers),
        st.builds(lambda d, ms: retried(d, *ms), deploys, attempts),
        st.builds(lambda ms: withdrawn(*ms), attempts),
        st.builds(lambda m: m.again(at=500), st.builds(message, st.integers(0, 8))),
    ),
    max_size=60,
)


@given(journals)
def test_in_every_journal_a_message_has_one_state_and_terminal_states_are_final(journal: list[Event]) -> None:
    board, before = Board(), dict[str, State]()
    for event in journal:
        for change in board.apply(event, now=1000, read_at=0.0):
            was = before.get(change.message)
            assert was not in TERMINAL
            assert was is None or was in BEFORE[change.state]
            before[change.message] = change.state
        part = board.server(SERVER.name)
        assert {m: board.state(m) for m in before} == before
        assert {m for m, state in before.items() if state in (State.WAITING, State.DEPLOYING)} == set(part.open)
        covered = {m.id for m in part.running.batch} if part.running else set()
        assert {m.message.id: m.state for m in part.messages()} == {
            m: state for m, state in before.items() if state not in TERMINAL
        }
        assert {m for m, state in before.items() if state is State.DEPLOYING} == covered
        assert part.pending == Pending.of(part.open.values())
        assert (bool(part.pending), part.oldest) == (bool(part.waiting), next(iter(part.waiting), None))


@given(journals)
def test_two_readers_have_the_same_board_after_encoding_and_decoding(journal: list[Event]) -> None:
    one, other = board_of(*journal), board_of(*(decode(encode(event)) for event in journal))
    assert one.server(SERVER.name) == other.server(SERVER.name)


@given(journals, st.integers(0, 60))
def test_a_board_from_a_checkpoint_continues_as_if_it_had_read_everything(journal: list[Event], cut: int) -> None:
    whole, half = board_of(*journal), board_of(*journal[:cut])
    body = encode_checkpoint(Checkpoint.of(half, through=cut, at=0))
    again = decode_checkpoint(body).board(read_at=0.0)
    for event in journal[cut:]:
        again.apply(event, now=1000, read_at=0.0)
    assert (again.servers, list(again.closed.items()), again.received) == (
        whole.servers, list(whole.closed.items()), whole.received,
    )  # fmt: skip
    assert states(again, *range(9)) == states(whole, *range(9))


def test_the_wait_for_a_running_deploy_starts_when_the_checkpoint_is_read() -> None:
    body = encode_checkpoint(Checkpoint.of(board_of(message(1), taken(1, 1)), through=2, at=0))
    running = decode_checkpoint(body).board(read_at=77.0).server(SERVER.name).running
    assert running
    assert running.read_at == 77.0


@given(st.integers(0, 10**13), st.integers(0, 10**12))
def test_the_header_of_a_checkpoint_is_read_without_decoding_the_rest(at: int, through: int) -> None:
    body = encode_checkpoint(Checkpoint.of(board_of(message(1), taken(1, 1)), through=through, at=at))
    assert header_of(body) == header_of(body[:120]) == Header(at, through)


@given(st.binary(max_size=200))
def test_anything_but_a_checkpoint_is_unreadable(body: bytes) -> None:
    with pytest.raises(Unreadable):
        decode_checkpoint(body)
    with pytest.raises(Unreadable):
        decode_checkpoint(gzip.compress(body))
    assert header_of(body) is header_of(gzip.compress(body)) is None
