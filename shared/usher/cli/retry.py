"""`usher retry`: tries a failed deploy again."""

from typing import Annotated

import typer

from usher.api.client import Client
from usher.cli.options import Json, Reason
from usher.cli.ordered import finish
from usher.settings import load


def retry(
    deploy: Annotated[str, typer.Argument(help="Its id, as in `usher history`.", metavar="DEPLOY")],
    reason: Reason = "",
    as_json: Json = False,
) -> None:
    """Queue again at once what a failed deploy covered, whether it is parked or waits for its next attempt.

    The exit code is 1 if nothing of it was left to queue again.

    \b
    Examples:
      usher retry 0f8fad5bd9cb
      usher history --outcome failed     lists them
    """
    with Client(load()) as client:
        done = client.retry(deploy, reason=reason)
    finish(done, as_json=as_json)
