"""Times as people type them."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
import typer

from usher.cli.times import since_option, until_option


@pytest.fixture(autouse=True)
def dublin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A zone with summer time: until 25 October 2026, it is an hour ahead of UTC."""
    monkeypatch.setenv("TZ", "Europe/Dublin")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("word", "since", "until"),
    [
        ("2026-11-22", "2026-11-22 00:00", "2026-11-23 00:00"),
        ("2026-10-25", "2026-10-24 23:00", "2026-10-26 00:00"),
        ("2026-07-01 14:00", "2026-07-01 13:00", "2026-07-01 13:00"),
        ("2026-07-01T14:00:30", "2026-07-01 13:00:30", "2026-07-01 13:00:30"),
        ("2026-07-01T14:00Z", "2026-07-01 14:00", "2026-07-01 14:00"),
        (" 2026-07-01 14:00+02:00 ", "2026-07-01 12:00", "2026-07-01 12:00"),
    ],
)
def test_a_time_is_local_unless_it_has_a_zone_and_a_date_is_the_whole_day(word: str, since: str, until: str) -> None:
    assert (since_option(word), until_option(word)) == (utc(since), utc(until))


def test_a_time_of_day_is_today_and_a_duration_is_how_long_ago() -> None:
    today = datetime.now().astimezone()
    assert since_option("14:05").strftime("%H:%M") == "14:05"
    assert abs(since_option("14:05") - today) < timedelta(hours=25)
    for word, length in (("90m", timedelta(minutes=90)), ("1h30m", timedelta(minutes=90)), ("3d", timedelta(days=3))):
        assert abs(datetime.now(UTC) - length - since_option(word)) < timedelta(seconds=60) + timedelta(hours=1)


@pytest.mark.parametrize("word", ["", "yesterday", "2026", "2026-02-30", "24:01", "3", "9999999d", "\x1b[2J", "1h:2"])
def test_anything_else_is_refused_with_the_forms_that_are_known(word: str) -> None:
    with pytest.raises(typer.BadParameter, match='is not a time; write it like 2026-11-22, 14:00, "2026-11-22 14:00"'):
        since_option(word)
