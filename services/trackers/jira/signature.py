"""Whether a webhook comes from who knows the secret, and is recent. Fails closed; no I/O."""

import hashlib
import hmac
from collections.abc import Mapping

from pydantic import SecretStr

from usher.core.errors import UsherError

HEADER = "x-hub-signature"
METHOD = "sha256="

FRESH = 24 * 60 * 60 * 1000
"""A signed body is taken for so long (ms): a signature is valid for ever, and Jira tells again for 75 minutes."""


class Unauthentic(UsherError):
    """{why}"""


def check_signature(secret: SecretStr, headers: Mapping[str, str], body: bytes) -> None:
    """Raises Unauthentic unless `X-Hub-Signature: sha256=<hex>` is the HMAC of the raw body. Headers: any case."""
    key = secret.get_secret_value().encode()
    given = next((value for name, value in headers.items() if name.lower() == HEADER), None)
    if not key:
        raise Unauthentic(why="[jira] secret is empty; set it to the webhook's secret")
    if given is None:
        raise Unauthentic(why="X-Hub-Signature is missing; give the webhook the secret that [jira] secret has")
    if not given.startswith(METHOD):
        raise Unauthentic(why="X-Hub-Signature is not of the form sha256=<hex>")
    expected = METHOD + hmac.new(key, body, hashlib.sha256).hexdigest()
    if not hmac.compare_digest(expected.encode(), given.encode("utf-8", "replace")):
        raise Unauthentic(why="X-Hub-Signature is wrong; the webhook's secret and [jira] secret must be the same")


def check_recent(told_at: int | None, now: int) -> None:
    """Raises Unauthentic if the body's time (ms) is not within 24 hours of `now` (ms): no replays of old bodies.

    A body that carries no time is let in: its signer sends none, and the same move told twice changes nothing.
    """
    if told_at is not None and abs(now - told_at) > FRESH:
        raise Unauthentic(why="the signed body's timestamp is not within 24 hours; see both machines' clocks")
