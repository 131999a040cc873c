"""`usher retry`: retries a failed deploy."""

from typing import Annotated

import typer

from usher.api.client import Client
from usher.cli.options import Json, Reason
from usher.cli.ordered import finish
from usher.settings import load


def retry(
    deploy: Annotated[str, typer.Argument(help="The id of the deploy, as in `usher history`.", metavar="DEPLOY")],
    reason: Reason = "",
    as_json: Json = False,
) -> None:
    """Queue the issues of a failed deploy again, whether they are parked or waiting for their next attempt.

    The exit code is 1 if there was nothing left to queue again.

    \b
    Examples:
      usher retry 0f8fad5bd9cb
      usher history --outcome failed     lists failed deploys
    """
    with Client(load()) as client:
        done = client.retry(deploy, reason=reason)
    finish(done, as_json=as_json)
