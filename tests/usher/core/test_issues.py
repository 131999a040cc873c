"""Issues: the grammar that keeps invalid arguments out of every command."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from usher.core import errors
from usher.core.issues import Issue

keys = st.from_regex(r"\A[A-Z][A-Z0-9_]{0,20}-[1-9][0-9]{0,10}\Z")


@given(keys)
def test_a_parsed_key_is_unchanged(key: str) -> None:
    assert str(Issue.parse(key)) == key


@given(st.text())
def test_any_other_text_raises_bad_issue(text: str) -> None:
    try:
        issue = Issue.parse(text)
    except errors.BadIssue as bad:
        assert str(bad).isascii()
    else:
        assert str(issue) == text


@pytest.mark.parametrize(
    "text",
    ["ABC-1;id", "--x", "-ABC-1", "ABC-" + "1" * 300, "A" * 300 + "-1", "ABC-1\0", "ABC-1\n", "АВС-1", "ABC-１",
     "abc-1", "ABC-01", "ABC-0", "ABC--1", "ABC", "", " ABC-1", "ABC-1 ABC-2", "$(id)-1", None, 7, ["ABC-1"]],
)  # fmt: skip
def test_hostile_keys_are_refused(text: object) -> None:
    with pytest.raises(errors.BadIssue, match="is not an issue; it should look like ABC-123"):
        Issue.parse(text)


def test_issues_sort_by_number() -> None:
    assert [str(issue) for issue in sorted(map(Issue.parse, ["ABC-113", "ABC-20", "ABC-3"]))] == [
        "ABC-3", "ABC-20", "ABC-113",
    ]  # fmt: skip
