"""Front-end messages: a plain sentence says what is wrong with one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trackers.front import read_front
from usher.core.errors import BadMessage
from usher.core.issues import Issue
from usher.settings import Settings

SERVERS = Settings.model_validate({"projects": {"pear": {"statuses": ["test", "beta"]}}}).catalogue


def test_a_valid_message_is_parsed() -> None:
    front = read_front(b'{"issue_id": "PEAR-3", "status": "Beta"}', SERVERS)
    assert (front.issue_id, front.status) == (Issue("PEAR", 3), "Beta")


def test_a_byte_order_mark_before_the_message_is_skipped() -> None:
    body = b'\xef\xbb\xbf{"issue_id": "PEAR-3", "status": "Beta"}'
    assert read_front(body, SERVERS).issue_id == Issue("PEAR", 3)


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (
            '{"issue_id": "pear-3", "status": "beta"}',
            "issue_id: 'pear-3' is not an issue; it should look like ABC-123: a project in capitals, a dash, a number",
        ),
        ('{"issue_id": "XYZ-3", "status": "beta"}', "unknown project XYZ; add [projects.xyz]"),
        (
            '{"issue_id": "PEAR-3", "status": "qa"}',
            "unknown status 'qa'; known: stage, test, beta. To accept it, list it under [statuses.qa]",
        ),
        (
            '{"issue_id": "PEAR-3", "status": "stage"}',
            'project pear does not deploy stage; add "stage" to [projects.pear] statuses',
        ),
        ('{"issue_id": "PEAR-3"}', 'status is missing; send {"issue_id": "ABC-123", "status": "test"}'),
        ('{"issue_id": "PEAR-3", "status": ""}', "status is empty"),
        ('{"issue_id": "PEAR-3", "status": null}', "status must be a string"),
        (
            '{"issue_id": "PEAR-3", "status": "beta", "force": true}',
            "force: unknown field; known fields are issue_id, status and by",
        ),
        ("[]", 'the body must be an object; send {"issue_id": "ABC-123", "status": "test"}'),
    ],
)
def test_an_invalid_message_gets_a_sentence_that_says_what_is_wrong(body: str, sentence: str) -> None:
    with pytest.raises(BadMessage) as refused:
        read_front(body.encode(), SERVERS)
    assert str(refused.value) == sentence


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b'{"\\ud800": 1}', b"issue_id=PEAR-3"])
def test_a_body_that_is_not_json_is_reported_as_such(body: bytes) -> None:
    with pytest.raises(BadMessage, match="the body is not JSON"):
        read_front(body, SERVERS)


@pytest.mark.parametrize("opening", [b"[", b'{"issue_id":'], ids=ascii)
def test_deep_nesting_is_a_bad_message_and_no_crash(opening: bytes) -> None:
    with pytest.raises(BadMessage):
        read_front(opening * 1_000, SERVERS)


def test_a_body_longer_than_any_message_is_not_parsed() -> None:
    with pytest.raises(BadMessage, match="longer than 16384 bytes"):
        read_front(b'{"issue_id": "PEAR-3", "status": "beta"' + b" " * 16384 + b"}", SERVERS)


@given(st.binary())
def test_arbitrary_bytes_raise_only_bad_message(body: bytes) -> None:
    with pytest.raises(BadMessage):
        read_front(body, SERVERS)
