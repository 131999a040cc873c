"""Times as people write them, also when the clocks change."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from usher.core.moments import instant, upcoming

BERLIN, DUBLIN = ZoneInfo("Europe/Berlin"), ZoneInfo("Europe/Dublin")
NOW = datetime(2026, 11, 27, 8, 30, tzinfo=UTC)
"""A Friday, 09:30 in Berlin."""


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("17:00", "2026-11-27T16:00"),
        ("9:00", "2026-11-28T08:00"),
        ("today 17:00", "2026-11-27T16:00"),
        ("tomorrow 09:00", "2026-11-28T08:00"),
        ("Fri 17:00", "2026-11-27T16:00"),
        ("fri 09:00", "2026-12-04T08:00"),
        ("Monday 09:00", "2026-11-30T08:00"),
        ("2026-12-24 12:00", "2026-12-24T11:00"),
        ("2026-12-24T12:00", "2026-12-24T11:00"),
        ("2026-12-24T12:00Z", "2026-12-24T12:00"),
    ],
)
def test_a_text_means_the_next_such_moment(text: str, moment: str) -> None:
    assert upcoming(text, NOW, BERLIN) == datetime.fromisoformat(moment).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    "text", ["", "soon", "25:00", "Fri", "m 09:00", "today 09:00", "2026-11-27 09:00", "2026-11-28", "2026-02-30 09:00"]
)
def test_anything_else_and_the_past_are_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - any reason will do
        upcoming(text, NOW, BERLIN)


def test_of_a_time_that_comes_twice_the_second_is_meant() -> None:
    assert instant(datetime(2026, 10, 25, 2, 30), BERLIN) == datetime(2026, 10, 25, 1, 30, tzinfo=UTC)
    assert instant(datetime(2026, 10, 25, 1, 30), DUBLIN) == datetime(2026, 10, 25, 1, 30, tzinfo=UTC)


@pytest.mark.parametrize("minute", [0, 1, 30, 59])
def test_a_time_that_the_clocks_skip_is_the_moment_of_the_change(minute: int) -> None:
    changed = datetime(2026, 3, 29, 1, 0, tzinfo=UTC)
    assert instant(datetime(2026, 3, 29, 2, minute), BERLIN) == changed
    assert instant(datetime(2026, 3, 29, 1, minute), DUBLIN) == changed
