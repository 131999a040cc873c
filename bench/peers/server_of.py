"""What all peers have to find out of a webhook."""

from typing import Any

NAMES = tuple(f"{status}.p{letter}" for letter in "abcdefghij" for status in ("beta", "test"))
"""Every server."""


def server_of(body: dict[str, Any]) -> str:
    """The server that a webhook is about: `beta.pa`."""
    project = body["issue"]["key"].partition("-")[0].lower()
    return f"{body['changelog']['items'][0]['toString']}.{project}"
