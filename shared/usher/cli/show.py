"""`usher show`: what the running services know about a server, an issue, a message or a deploy."""

import re
from typing import Annotated

import typer

from usher.api.client import Client
from usher.cli import history, one_issue, one_server
from usher.cli.options import Json, issue_of, names_server
from usher.settings import load

_DEPLOY = re.compile("[0-9a-f]{12}")
_MESSAGE = re.compile("[0-9a-f]{32}")


def show(
    what: Annotated[
        str,
        typer.Argument(
            help="A server, an issue, or the id of a deploy or a message.", metavar="SERVER|ISSUE|DEPLOY|MESSAGE"
        ),
    ],
    as_json: Json = False,
) -> None:
    """Show a server (what is pending, and its next deploy), an issue (its history), a deploy, or a message.

    \b
    Examples:
      usher show beta.abc.wwts.com
      usher show ABC-111
      usher show 0f8fad5bd9cb        a deploy, as in `usher history`
    """
    settings = load()
    with Client(settings) as client:
        if names_server(what, settings.catalogue):
            one_server.show(client, what, settings, as_json=as_json)
        elif issue := issue_of(what):
            one_issue.show(client, issue, settings, as_json=as_json)
        elif _MESSAGE.fullmatch(what):
            one_issue.show_move(client, what, settings, as_json=as_json)
        elif _DEPLOY.fullmatch(what):
            history.show_deploy(client, what, as_json=as_json)
        else:
            one_server.show(client, what, settings, as_json=as_json)
