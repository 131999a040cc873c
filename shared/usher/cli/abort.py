"""`usher abort`: reports that the command of a stuck deploy has ended."""

from typing import Annotated

import typer

from usher.api.client import Client
from usher.cli.options import Json, Reason
from usher.cli.ordered import finish
from usher.core.errors import BadCommand
from usher.settings import load


def abort(
    deploy: Annotated[str, typer.Argument(help="The id of the deploy, as in `usher servers`.", metavar="DEPLOY")],
    gone: Annotated[bool, typer.Option("--gone", help="Confirm that no process of the command is left.")] = False,
    reason: Reason = "",
    as_json: Json = False,
) -> None:
    """Report that the command of a stuck deploy has ended, so that its server can deploy again.

    If a `deploys` service is running on the machine where the command ran, that service notices by itself that the
    command has ended. Use `usher abort` only if that machine is lost.

    `usher abort` kills nothing. Check first that no process of the command is left: if one is, two commands for the
    same server run at once.

    \b
    Examples:
      usher abort 0f8fad5bd9cb --gone --reason "the machine was replaced"
    """
    if not gone:
        raise BadCommand(why="add --gone once you have checked that none of its processes is left on any machine")
    with Client(load()) as client:
        done = client.abort_gone(deploy, reason=reason)
    finish(done, as_json=as_json)
