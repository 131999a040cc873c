"""Checks that a webhook is signed with the secret, and is recent. Fails closed; no I/O."""

import hmac
from collections.abc import Mapping

from pydantic import SecretStr

from usher.core.errors import UsherError

HEADER = "x-hub-signature"
METHOD = "sha256="

MAX_AGE = 24 * 60 * 60 * 1000
"""How old a signed body may be (ms). A signature never expires; Jira sends a webhook again for up to 75 minutes."""


class Unauthentic(UsherError):
    """{why}"""


def check_signature(secret: SecretStr, headers: Mapping[str, str], body: bytes) -> None:
    """Raise Unauthentic unless `X-Hub-Signature: sha256=<hex>` is the HMAC of the raw body. Header names: any case."""
    key = secret.get_secret_value().encode()
    given = next((value for name, value in headers.items() if name.lower() == HEADER), None)
    if not key:
        raise Unauthentic(why="[jira] secret is empty; set it to the secret of the webhook in Jira")
    if given is None:
        raise Unauthentic(why="X-Hub-Signature is missing; set the webhook's secret to the value of [jira] secret")
    if not given.startswith(METHOD):
        raise Unauthentic(why="X-Hub-Signature is not of the form sha256=<hex>")
    expected = METHOD + hmac.digest(key, body, "sha256").hex()
    if not hmac.compare_digest(expected.encode(), given.encode("utf-8", "replace")):
        raise Unauthentic(why="X-Hub-Signature is wrong; set the webhook's secret to the value of [jira] secret")


def check_recent(sent_at: int | None, now: int) -> None:
    """Raise Unauthentic if the body's time (ms) is not within 24 hours of `now` (ms), so that no old body is replayed.

    A body without a time is accepted: some senders put none in, and receiving the same move twice changes nothing.
    """
    if sent_at is not None and abs(now - sent_at) > MAX_AGE:
        raise Unauthentic(why="the signed body's timestamp is not within 24 hours of now; check both machines' clocks")
