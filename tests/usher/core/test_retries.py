"""Retries: the attempts after a deploy that did not pass."""

import pytest

from usher.core.events import Outcome
from usher.core.issues import Issue
from usher.core.messages import BackMessage
from usher.core.retries import Ladder
from usher.core.servers import Server

LADDER = Ladder((1000, 5000), never={64}, soon=2)
FIRST = BackMessage.of(Issue("ABC", 1), Server("beta.abc.wwts.com", "beta", "abc"), source="api", now=7)


def sequence(*ends: tuple[Outcome, int | None]) -> list[tuple[int, int] | None]:
    """The attempt and the delay after each end. None means parked."""
    message, steps = FIRST, list[tuple[int, int] | None]()
    for outcome, code in ends:
        again = LADDER.after(message, "1a", outcome, code, now=100)
        steps.append(again and (again.message.attempt, again.delay))
        if again:
            assert again.message.queued_at == 100 + again.delay
            message = again.message
    return steps


FAILED, SOON, NEVER, SLOW = (Outcome.FAILED, 1), (Outcome.FAILED, 75), (Outcome.FAILED, 64), (Outcome.TIMED_OUT, 64)


@pytest.mark.parametrize(
    ("ends", "steps"),
    [
        ([FAILED, FAILED, FAILED], [(2, 1000), (3, 5000), None]),
        ([SLOW, SLOW, SLOW], [(2, 1000), (3, 5000), None]),
        ([NEVER], [None]),
        ([FAILED, NEVER], [(2, 1000), None]),
        ([SOON, SOON, SOON, SOON], [(1, 1000), (1, 1000), (2, 1000), (3, 5000)]),
        ([FAILED, SOON, FAILED, FAILED], [(2, 1000), (2, 1000), (3, 5000), None]),
    ],
)
def test_each_failure_uses_the_next_delay_and_a_failure_after_the_last_is_parked(
    ends: list[tuple[Outcome, int | None]], steps: list[tuple[int, int] | None]
) -> None:
    assert sequence(*ends) == steps


def test_without_delays_nothing_is_retried() -> None:
    assert Ladder(()).after(FIRST, "1a", *FAILED, now=0) is None
    assert Ladder((), soon=9).after(FIRST, "1a", *SOON, now=0) is None


def test_the_next_attempt_is_a_new_message_of_the_same_move_with_a_stable_id() -> None:
    again = FIRST.again(at=50)
    assert again == FIRST.again(at=50)
    others = (FIRST, again, again.again(at=50), FIRST.again(at=50, postponed=True), FIRST.again(at=50, deploy="1a"))
    assert len({other.id for other in others}) == 5
    assert {m.move for m in (FIRST, again, again.again(at=60))} == {FIRST.id}
    assert {m.age for m in (FIRST, again, again.again(at=60))} == {7}
