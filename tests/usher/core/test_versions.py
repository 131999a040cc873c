"""What earlier versions stored: some of its fields have another name today."""

import gzip
import json

from usher.core.checkpoints import decode_checkpoint
from usher.core.events import DeployEnded, DeployInterrupted, TurnGivenBack, decode, decode_message

MOVE = "0" * 32
HEAD = {"v": 1, "server": "beta.abc.wwts.com"}


def stored(**fields: object) -> bytes:
    return json.dumps({**HEAD, **fields}).encode()


def test_a_retry_keeps_its_age() -> None:
    first = {"kind": "message", "id": "1" * 32, "issue": "ABC-1", "status": "beta", "source": "jira", "queued_at": 9}
    assert decode_message(stored(**first, attempt=2, origin=MOVE, told_at=3)).age == 3


def test_the_output_of_a_result_is_still_marked_as_truncated() -> None:
    ended = decode(
        stored(
            kind="deploy.ended", deploy="0" * 12, outcome="passed", reason="", exit_code=0, rehearsed=False, command=[],
            standing=[], superseded=[], started_at=1, ended_at=2, output="the end", cut=True, log=None,
        )
    )  # fmt: skip
    assert isinstance(ended, DeployEnded)
    assert ended.truncated


def test_a_turn_that_was_given_back_keeps_its_delivery_count_and_its_wait() -> None:
    back = decode(stored(kind="turn.given_back", message=MOVE, holder="x", owes=41, returns=7))
    assert isinstance(back, TurnGivenBack)
    assert (back.wait_left, back.delivery_count) == (41, 7)


def test_an_interruption_keeps_its_delivery_count() -> None:
    end = decode(
        stored(kind="deploy.interrupted", deploy="0" * 12, by="x", reason="stopped", at=1, held=MOVE, returns=7)
    )
    assert isinstance(end, DeployInterrupted)
    assert end.delivery_count == 7


def test_a_checkpoint_keeps_how_often_a_message_was_received_and_the_rest_of_a_wait() -> None:
    body = stored(
        kind="journal.checkpoint",
        at=1,
        through=2,
        servers={"beta.abc.wwts.com": {"owed": 41}},
        closed={},
        told={MOVE: 3},
    )
    board = decode_checkpoint(gzip.compress(body)).board(0.0)
    assert (board.received, board.servers["beta.abc.wwts.com"].wait_left) == ({MOVE: 3}, 41)
