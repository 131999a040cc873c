"""The window: a quiet period with a cap, so that no server starves."""

from hypothesis import given
from hypothesis import strategies as st

from usher.core.windows import TOGETHER, Window

times = st.lists(st.integers(0, 10**12), min_size=1, max_size=50)
windows = st.builds(Window, quiet=st.integers(0, 10**7), cap=st.integers(0, 10**7))


def test_it_closes_a_quiet_period_after_the_last_message() -> None:
    assert Window(quiet=100, cap=1000).closes_at([0, 50, 30]) == 150


def test_it_closes_at_the_cap_even_if_messages_keep_arriving() -> None:
    assert Window(quiet=100, cap=1000).closes_at(range(0, 5000, 50)) == 1000


@given(windows, times)
def test_it_never_closes_later_than_the_cap_after_the_first_message(window: Window, arrivals: list[int]) -> None:
    assert window.closes_at(arrivals) <= min(arrivals) + window.cap


@given(windows, times, st.integers(0, 10**12))
def test_another_message_never_closes_it_earlier_unless_it_is_the_oldest(
    window: Window, arrivals: list[int], one_more: int
) -> None:
    if one_more >= min(arrivals):
        assert window.closes_at([*arrivals, one_more]) >= window.closes_at(arrivals)


@given(windows, times)
def test_the_order_of_messages_does_not_matter(window: Window, arrivals: list[int]) -> None:
    assert window.closes_at(arrivals) == window.closes_at(sorted(arrivals))


def test_a_retry_that_is_due_deploys_at_once_whatever_else_is_pending() -> None:
    window = Window(quiet=120_000, cap=500_000)
    assert window.closes_at([], [7000]) == 7000 + TOGETHER
    assert window.closes_at([6000, 6500], [7000]) == 7000 + TOGETHER


@given(windows, times, times)
def test_a_retry_never_delays_the_deploy_of_moves(window: Window, arrivals: list[int], due: list[int]) -> None:
    assert window.closes_at(arrivals, due) == min(window.closes_at(arrivals), min(due) + TOGETHER)
