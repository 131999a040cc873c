"""`usher abort`: ends a deploy whose command could not be killed."""

from typing import Annotated

import typer

from usher.api.client import Client
from usher.cli.options import Json, Reason
from usher.cli.ordered import finish
from usher.core.errors import BadCommand
from usher.settings import load


def abort(
    deploy: Annotated[str, typer.Argument(help="The id of the deploy, as in `usher servers`.", metavar="DEPLOY")],
    gone: Annotated[bool, typer.Option("--gone", help="None of its processes is left: you have checked.")] = False,
    reason: Reason = "",
    as_json: Json = False,
) -> None:
    """Report that the command of a stuck deploy has ended, so that its server can deploy again.

    Usher sees the end by itself on the machine where the command ran. Use this if that machine is lost.

    Check first that none of its processes is left: if one is, two commands run at once.

    \b
    Examples:
      usher abort 0f8fad5bd9cb --gone --reason "the machine was replaced"
    """
    if not gone:
        raise BadCommand(why="add --gone once you have checked that none of its processes is left on any machine")
    with Client(load()) as client:
        done = client.abort_gone(deploy, reason=reason)
    finish(done, as_json=as_json)
