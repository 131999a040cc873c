"""Log lines: each is one line, whatever it quotes, and the same line is not written for ever."""

import logging
import sys

import pytest

from usher.runtime.logs import BURST, SPAN, Lines, Repeats

NOON = 1_800_000_000.0


def record(text, *arguments, name="trackers.door", at=NOON, error=None):
    made = logging.LogRecord(name, logging.WARNING, "", 0, text, arguments, error and sys.exc_info())
    made.created = at
    return made


def written(*records):
    """The lines that these records become."""
    repeats, lines = Repeats(), Lines("trackers")
    return [lines.format(one) for one in records if repeats.filter(one)]


@pytest.mark.parametrize(
    ("quoted", "shown"),
    [
        ("refused\n2027-01-15T08:00:00.000Z trackers  INFO    accepted", r"refused\n2027"),
        ("a\r\nb", r"a\r\nb"),
        ("\x1b[2J\x1b]0;title\x07", r"\x1b[2J\x1b]0;title\x07"),
        ("a\x00b\x7f\x9bc", r"a\x00b\x7f\x9bc"),
        ("a\u2028b\x85c", r"a\u2028b\x85c"),
        ("\u202egnirps", r"\u202egnirps"),
        ("\ud800", r"\ud800"),
        ("Grüße → 完了 🚀", "Grüße → 完了 🚀"),
        (r"C:\temp", r"C:\temp"),
    ],
)
def test_what_a_line_quotes_never_starts_another_line(quoted, shown):
    for made in (record("%s", quoted), record(quoted)):
        (line,) = written(made)
        assert len(line.splitlines()) == 1
        assert shown in line
        line.encode()


def test_the_lines_of_a_traceback_are_indented():
    try:
        raise ValueError("no\n2027-01-15T08:00:00.000Z trackers  INFO    accepted\x1b[2J")
    except ValueError:
        (text,) = written(record("a bug", error=True))
    first, *rest = text.split("\n")
    assert first.endswith("a bug")
    assert all(line.startswith("  ") for line in rest)
    assert "\x1b" not in text
    assert rest[-1] == r"  2027-01-15T08:00:00.000Z trackers  INFO    accepted\x1b[2J"


def test_a_line_that_repeats_is_left_out_and_counted():
    storm = [record("no room", at=NOON + n / 1000) for n in range(1000)]
    later = [record("no room", at=NOON + SPAN + n) for n in range(2)]
    lines = written(*storm, *later)
    assert len(lines) == BURST + 2
    assert lines[BURST].endswith(f"no room ({1000 - BURST} more like this were left out)")
    assert lines[-1].endswith("no room")


def test_different_lines_are_all_written():
    lines = [record("accepted %s: ABC-%d for beta", f"{n:032x}", n) for n in range(1000)]
    assert len(written(*lines)) == 1000


def test_other_people_s_lines_are_the_same_if_only_their_facts_differ():
    """An outsider chooses the path, the port and so on, and could otherwise fill the log."""
    refused = [record("refused %s", f"/{n}", name="usher.web.guard") for n in range(1000)]
    accepts = [record(f"out of resources: fd={n}", name="asyncio") for n in range(1000)]
    assert len(written(*refused, *accepts)) == 2 * BURST


def test_different_errors_are_all_written():
    made = []
    for n in range(20):
        try:
            raise ValueError(n)
        except ValueError:
            made.append(record("Exception in ASGI application", name="uvicorn.error", error=True))
    assert len(written(*made)) == 20


def test_a_clock_that_goes_back_hides_nothing():
    storm = [record("no room") for _ in range(100)]
    assert len(written(*storm, record("no room", at=NOON - 3600))) == BURST + 1


def test_only_so_many_lines_are_remembered():
    repeats = Repeats()
    for n in range(5000):
        repeats.filter(record("line %d %s", n, "x" * 10_000))
    assert len(repeats._lines) == 1000
    assert sum(len(key[2]) for key in repeats._lines) <= 500_000
