"""Holds on the board: what they refuse, what ends them, and that every reader agrees."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from usher.core.board.board import Board
from usher.core.checkpoints import Checkpoint, decode_checkpoint, encode_checkpoint
from usher.core.events import DeployInterrupted, DeployTaken, Event, decode, encode
from usher.core.issues import Issue
from usher.core.messages import BackMessage
from usher.core.orders import HoldExpired, HoldOrder, OrderDone, ReleaseOrder
from usher.core.servers import Server

BETA = Server("beta.abc.wwts.com", "beta", "abc")
SCOPES = ("beta.abc", "*.abc", "beta.*", "*.*", "test.abc", "*.def")
MATCHING = SCOPES[:4]


def message(number: int) -> BackMessage:
    made = BackMessage.of(Issue("ABC", number), BETA, source="api", now=0)
    return replace(made, id=f"{number:032x}")


def taken(deploy: int, *numbers: int) -> DeployTaken:
    ids = tuple(f"{number:032x}" for number in numbers)
    return DeployTaken(deploy=f"{deploy:012x}", server=BETA.name, holder="me", fence=1, messages=ids, taken_at=9)


def hold(number: int, scope: str = "beta.abc", *, until: int | None = None, warning: bool = False) -> HoldOrder:
    return HoldOrder(
        id=f"{number:032x}", by="ann", reason="demo", at=1, servers=(), scope=scope, until=until, warning=warning
    )


def release(number: int, *holds: int) -> ReleaseOrder:
    ids = tuple(f"{one:032x}" for one in holds)
    return ReleaseOrder(id=f"{1000 + number:032x}", by="bob", at=2, servers=(), holds=ids)


def expired(number: int, at: int) -> HoldExpired:
    return HoldExpired(hold=f"{number:032x}", at=at)


def apply(board: Board, *events: Event) -> list[bool]:
    """Apply events. Returns for each whether it changed the state of a message."""
    return [bool(board.apply(decode(encode(event)), now=0, read_at=0)) for event in events]


def again(board: Board) -> Board:
    """The board as a reader restores it from a checkpoint."""
    return decode_checkpoint(encode_checkpoint(Checkpoint.of(board, 1, 1))).board(0)


def test_no_taking_is_granted_while_a_hold_matches_and_the_next_one_after_its_release_is() -> None:
    for scope in SCOPES:
        board = Board()
        apply(board, message(1), hold(1, scope))
        assert apply(board, taken(1, 1)) == [scope not in MATCHING], scope
        apply(board, release(1, 1))
        assert apply(board, taken(2, 1)) == [scope in MATCHING], scope


def test_a_hold_does_not_stop_a_deploy_that_was_granted_before_and_names_it() -> None:
    board = Board()
    apply(board, message(1), taken(1, 1), hold(1))
    assert [one.deploy for one in board.orders.entries[hold(1).id].running.values()] == [taken(1).deploy]
    interrupted = DeployInterrupted(deploy=taken(1).deploy, server=BETA.name, by="me", reason="", at=3)
    assert apply(board, interrupted, taken(2, 1)) == [True, False]


def test_the_release_of_one_hold_leaves_the_others() -> None:
    board = Board()
    apply(board, message(1), hold(1), hold(2, "*.*"), release(1, 1))
    assert apply(board, taken(1, 1)) == [False]
    apply(board, release(2, 2))
    assert apply(board, taken(2, 1)) == [True]


def test_a_hold_expires_only_at_its_time() -> None:
    board = Board()
    apply(board, message(1), hold(1, until=100), expired(1, 99))
    assert apply(board, taken(1, 1)) == [False]
    apply(board, expired(1, 100), expired(1, 100))
    assert apply(board, taken(2, 1)) == [True]
    apply(board, hold(2), expired(2, 10**12))
    assert len(board.orders.holds) == 1, "a hold without an end does not expire"


def test_a_repeated_hold_does_not_stand_again_after_its_end() -> None:
    board = Board()
    apply(board, hold(1), release(1, 1), hold(1), hold(1).model_copy(update={"republished": True}))
    assert len(board.orders.holds) == 0


def test_nothing_but_its_end_ends_a_hold() -> None:
    board = Board()
    apply(board, hold(1), OrderDone(order=hold(1).id, at=5))
    assert len(board.orders.holds) == 1


def test_a_warning_stops_nothing() -> None:
    board = Board()
    apply(board, message(1), hold(1, warning=True))
    assert apply(board, taken(1, 1)) == [True]
    assert [one.warning for one in board.orders.holds.on("beta.abc")] == [True]


def test_a_checkpoint_keeps_holds_and_needs_a_newer_reader_only_while_one_stands() -> None:
    board = Board()
    apply(board, message(1), hold(1))
    assert board.needs == HoldOrder.needs > 2
    assert apply(again(board), taken(1, 1)) == [False]
    apply(board, release(1, 1), OrderDone(order=release(1, 1).id, at=3))
    assert board.needs == 1
    restored = again(again(board))
    assert restored.orders.entries == {}, "older readers do not know these orders"
    apply(restored, hold(1))
    assert len(restored.orders.holds) == 0, "a hold that has ended does not begin again"


ENTRIES = st.one_of(
    st.builds(hold, st.integers(0, 4), st.sampled_from(SCOPES), until=st.none() | st.integers(1, 50)),
    st.builds(release, st.integers(0, 9), st.integers(0, 4), st.integers(0, 4)),
    st.builds(expired, st.integers(0, 4), st.integers(0, 60)),
)


@given(st.lists(ENTRIES, max_size=30), st.integers(0, 30))
def test_every_reader_has_the_same_holds_wherever_it_starts(entries: list[Event], place: int) -> None:
    whole, part = Board(), Board()
    apply(whole, message(1), *entries)
    apply(part, message(1), *entries[:place])
    restored = again(part)
    apply(restored, *entries[place:])
    assert [*restored.orders.holds] == [*whole.orders.holds]
    assert apply(restored, taken(1, 1)) == apply(whole, taken(1, 1))
