"""Signatures: the published test vector passes, and nothing that only resembles a signature does."""

import hashlib
import hmac

import pytest
from pydantic import SecretStr

from trackers.jira.signature import MAX_AGE, Unauthentic, check_recent, check_signature

SECRET = SecretStr("It's a Secret to Everybody")
BODY = b"Hello World!"
HEX = "a4771c39fbe90f317c7824e83ddef3caae9cb3d976c214ace1f2937e133263c9"
NOW = 1_763_847_600_000


@pytest.mark.parametrize("name", ["X-Hub-Signature", "x-hub-signature"])
def test_the_published_vector_passes(name: str) -> None:
    check_signature(SECRET, {name: f"sha256={HEX}"}, BODY)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"X-Hub-Signature": ""},
        {"X-Hub-Signature": HEX},
        {"X-Hub-Signature": "sha256="},
        {"X-Hub-Signature": f"sha256={HEX[:-1]}"},
        {"X-Hub-Signature": f"sha256={HEX[:-1]}8"},
        {"X-Hub-Signature": f"sha256={HEX}0"},
        {"X-Hub-Signature": f"sha1={HEX}"},
        {"X-Hub-Signature": "sha1=" + hmac.new(b"It's a Secret to Everybody", BODY, hashlib.sha1).hexdigest()},
        {"X-Hub-Signature": "sha256=Ünicøde"},
        {"X-Hub-Signature": "sha256=\ud800"},
        {"X-Hub-Signature-256": f"sha256={HEX}"},
    ],
)
def test_a_missing_or_wrong_signature_is_refused(headers: dict[str, str]) -> None:
    with pytest.raises(Unauthentic, match="X-Hub-Signature"):
        check_signature(SECRET, headers, BODY)


def test_a_signature_is_valid_for_one_body_only() -> None:
    with pytest.raises(Unauthentic, match="wrong"):
        check_signature(SECRET, {"X-Hub-Signature": f"sha256={HEX}"}, BODY + b"\n")


def test_an_empty_secret_is_never_valid() -> None:
    empty = hmac.new(b"", BODY, hashlib.sha256).hexdigest()
    with pytest.raises(Unauthentic, match="secret is empty"):
        check_signature(SecretStr(""), {"X-Hub-Signature": f"sha256={empty}"}, BODY)


@pytest.mark.parametrize("sent_at", [None, NOW, NOW - MAX_AGE, NOW + MAX_AGE])
def test_a_body_within_a_day_or_without_a_time_is_recent(sent_at: int | None) -> None:
    check_recent(sent_at, NOW)


@pytest.mark.parametrize("sent_at", [0, NOW - MAX_AGE - 1, NOW + MAX_AGE + 1])
def test_a_body_that_is_not_recent_is_refused_as_a_replay(sent_at: int) -> None:
    with pytest.raises(Unauthentic, match="timestamp"):
        check_recent(sent_at, NOW)
