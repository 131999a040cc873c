"""`usher withdraw`: takes issues out of what is pending."""

from typing import Annotated

import typer

from usher.api.client import Client
from usher.api.types import Withdrawal
from usher.cli.options import Json, servers_and_issues
from usher.cli.ordered import by_server
from usher.cli.screen import console, issues, print_json
from usher.core.errors import BadCommand
from usher.settings import load


def withdraw(
    words: Annotated[
        list[str], typer.Argument(help="Issues, and a server if only one is meant.", metavar="SERVER|ISSUE")
    ],
    as_json: Json = False,
) -> None:
    """Take issues out of what waits, or is to be tried again: on one server, or on all of them.

    What is being deployed goes on; that it is withdrawn counts if that deploy does not pass.

    What is moved or sent later is deployed as usual. The exit code is 1 if there was nothing to withdraw.

    \b
    Examples:
      usher withdraw ABC-111 ABC-113
      usher withdraw beta.abc.wwts.com ABC-111
    """
    settings = load()
    server, keys = servers_and_issues(words, settings.catalogue)
    if not keys:
        raise BadCommand(
            why=f"name the issues, too: `usher withdraw {server} ABC-111`; `usher show {server}` lists them"
        )
    with Client(settings) as client:
        done = client.withdraw(keys, server)
    if as_json:
        print_json(done)
    else:
        _say_withdrawn(done, server)
    raise typer.Exit(0 if done.withdrawn or done.running else 1)


def _say_withdrawn(done: Withdrawal, server: str | None) -> None:
    screen = console()
    for where, keys in by_server(done.withdrawn).items():
        screen.print(f"Withdrawn from {where}: {issues(keys)}.")
    for one in done.running:
        screen.print(f"{one.issue} is being deployed to {one.server} by {one.deploy}; it counts if that does not pass.")
    if done.nothing:
        where = f"for {server}" if server else "anywhere"
        screen.print(f"Nothing of {issues(done.nothing)} waits {where}.")
        screen.print(f"Next: `usher show {done.nothing[0]}` says what became of it.", style="dim")
