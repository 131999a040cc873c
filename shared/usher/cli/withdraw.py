"""`usher withdraw`: withdraws pending issues."""

from typing import Annotated

import typer

from usher.api.client import Client
from usher.cli.options import Json, Reason, servers_and_issues
from usher.cli.ordered import finish
from usher.core.errors import BadCommand
from usher.settings import load


def withdraw(
    words: Annotated[
        list[str],
        typer.Argument(
            help="The issues to withdraw. If you also name a server, they are withdrawn only from that server.",
            metavar="SERVER|ISSUE",
        ),
    ],
    reason: Reason = "",
    as_json: Json = False,
) -> None:
    """Withdraw issues that are pending or will be retried, from one server or from all.

    A running deploy continues. For an issue that is being deployed, the withdrawal takes effect only if that deploy
    does not pass.

    Issues that are moved or sent later are deployed as usual. The exit code is 1 if there was nothing to withdraw.

    \b
    Examples:
      usher withdraw ABC-111 ABC-113
      usher withdraw beta.abc.wwts.com ABC-111 --reason "breaks the login"
    """
    settings = load()
    server, keys = servers_and_issues(words, settings.catalogue)
    if not keys:
        raise BadCommand(
            why=f"name the issues too: `usher withdraw {server} ABC-111`; `usher show {server}` lists them"
        )
    with Client(settings) as client:
        done = client.withdraw(keys, server, reason=reason)
    finish(done, as_json=as_json)
