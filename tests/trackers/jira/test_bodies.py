"""Reading JSON: what the fast parser refuses is read as Python reads it."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trackers.jira.bodies import Unparsable, load

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(VALUES, st.booleans())
def test_every_value_is_read_as_python_reads_it(value: object, ascii_only: bool) -> None:
    try:
        body = json.dumps(value, ensure_ascii=ascii_only).encode()
    except UnicodeEncodeError:  # half of a surrogate pair
        return
    assert load(body) == json.loads(body)


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (b'\xef\xbb\xbf{"a": 1}', {"a": 1}),
        ('{"a": 1}'.encode("utf-16"), {"a": 1}),
        (b'"\\ud800"', "\ud800"),
        (b"[Infinity]", [float("inf")]),
        (b'{"a": 1, "a": 2}', {"a": 2}),
    ],
)
def test_what_only_python_accepts_is_accepted(body: bytes, value: object) -> None:
    assert load(body) == value


def test_a_number_of_any_length_makes_no_body_unreadable() -> None:
    assert isinstance(load(b'{"a": ' + b"9" * 5000 + b"}"), dict)


@pytest.mark.parametrize("body", [b"", b" ", b"{", b"[" * 100_000, b'"\xff"', b"{'a': 1}"])
def test_what_is_not_json_is_refused_with_a_reason(body: bytes) -> None:
    with pytest.raises(Unparsable, match="the body is not JSON: "):
        load(body)
