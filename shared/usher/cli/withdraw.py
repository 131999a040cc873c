"""`usher withdraw`: takes issues out of what is pending."""

from typing import Annotated

import typer

from usher.api.client import Client
from usher.cli.options import Json, Reason, servers_and_issues
from usher.cli.ordered import finish
from usher.core.errors import BadCommand
from usher.settings import load


def withdraw(
    words: Annotated[
        list[str], typer.Argument(help="Issues, and a server if only one is meant.", metavar="SERVER|ISSUE")
    ],
    reason: Reason = "",
    as_json: Json = False,
) -> None:
    """Take issues out of what is pending or is to be tried again: on one server, or on all of them.

    What is being deployed goes on: for that, the order takes effect only if the deploy does not pass.

    What is moved or sent later is deployed as usual. The exit code is 1 if there was nothing to withdraw.

    \b
    Examples:
      usher withdraw ABC-111 ABC-113
      usher withdraw beta.abc.wwts.com ABC-111 --reason "breaks the login"
    """
    settings = load()
    server, keys = servers_and_issues(words, settings.catalogue)
    if not keys:
        raise BadCommand(
            why=f"name the issues, too: `usher withdraw {server} ABC-111`; `usher show {server}` lists them"
        )
    with Client(settings) as client:
        done = client.withdraw(keys, server, reason=reason)
    finish(done, as_json=as_json)
