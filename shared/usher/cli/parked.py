"""`usher parked`: lists parked messages, queues them again, or drops them."""

import sys
from collections.abc import Sequence
from typing import Annotated, Literal

import typer

from usher.api.client import Client
from usher.api.types import ParkedMessage, UnreadableMessage
from usher.cli.options import Json, Reason, servers_and_issues
from usher.cli.ordered import finish
from usher.cli.screen import clock, console, print_json, zone
from usher.cli.tables import table
from usher.core.errors import BadCommand
from usher.runtime.wording import count
from usher.settings import load

Words = Annotated[
    list[str] | None,
    typer.Argument(help="A server, issues, or both.", metavar="SERVER|ISSUE", show_default=False),
]
All = Annotated[bool, typer.Option("--all", help="All parked issues.")]


SHOWN = 60
"""The number of characters that are shown of an unreadable message."""

parked = typer.Typer(rich_markup_mode="rich", context_settings={"help_option_names": ["-h", "--help"]})


@parked.callback(invoke_without_command=True)
def list_parked(context: typer.Context, as_json: Json = False) -> None:
    """List the parked messages: those that Usher no longer retries.

    `retry` queues them again, `drop` drops them.

    Messages that Usher cannot read are also parked. They are listed last, and --json omits them.

    \b
    Examples:
      usher parked
      usher parked --json
      usher parked retry beta.abc.wwts.com
      usher parked drop ABC-111
    """
    if context.invoked_subcommand:
        return
    with Client(load()) as client:
        found = client.parked()
        if as_json:
            print_json(found)
            return
        unreadable = client.unreadable()
    screen = console()
    if found:
        _print(found)
    if unreadable:
        _print_unreadable(unreadable)
    if not (found or unreadable):
        screen.print("Nothing is parked. `usher history` shows the deploys.")


def _print(found: Sequence[ParkedMessage]) -> None:
    screen = console()
    rows = table("Issue", "Server", f"Since ({zone()})", "Attempt", "Why", "Deploy")
    for message in found:
        since, why = clock(message.changed_at), message.reason or message.outcome or ""
        rows.add_row(str(message.issue), message.server, since, str(message.attempt), why, message.deploy or "")
    screen.print(rows)
    first = found[0]
    screen.print(f"Next: `usher parked retry {first.issue}` or `usher parked drop {first.issue}`.", style="dim")


def _print_unreadable(found: Sequence[UnreadableMessage]) -> None:
    screen = console()
    screen.print(f"{count(len(found), 'parked message')} that Usher cannot read:", style="bold")
    rows = table("ID", "Why", "Bytes", "Begins with")
    for message in found:
        rows.add_row(message.id, message.reason, str(message.size), " ".join(message.beginning.split())[:SHOWN])
    screen.print(rows)
    do = "find out who sent this, then remove it in the management console (queue usher.parked)."
    screen.print(f"Next: {do}", style="dim", soft_wrap=True)


@parked.command()
def retry(words: Words = None, everything: All = False, reason: Reason = "", as_json: Json = False) -> None:
    """Queue parked issues again: those of a server, those you name, or all (--all).

    They are deployed as soon as their server is free. The exit code is 1 if none of these issues was parked.

    \b
    Examples:
      usher parked retry beta.abc.wwts.com
      usher parked retry ABC-111 ABC-113
      usher parked retry beta.abc.wwts.com ABC-111
      usher parked retry --all
    """
    _order("retry", words, everything=everything, asking=False, reason=reason, as_json=as_json)


@parked.command()
def drop(
    words: Words = None,
    everything: All = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")] = False,
    reason: Reason = "",
    as_json: Json = False,
) -> None:
    """Drop parked issues: those of a server, those you name, or all (--all).

    They are not deployed until somebody moves them again. The exit code is 1 if none of these issues was parked.

    \b
    Examples:
      usher parked drop ABC-111
      usher parked drop beta.abc.wwts.com
      usher parked drop --all
    """
    _order("drop", words, everything=everything, asking=not yes, reason=reason, as_json=as_json)


def _order(
    what: Literal["retry", "drop"],
    words: list[str] | None,
    *,
    everything: bool,
    asking: bool,
    reason: str,
    as_json: bool,
) -> None:
    settings = load()
    server, keys = servers_and_issues(words or (), settings.catalogue)
    if bool(words) == everything:
        raise BadCommand(why=f"name a server or issues, or --all: `usher parked {what} --help` shows how")
    with Client(settings) as client:
        if everything and asking and sys.stdin.isatty():
            typer.confirm(f"Drop {count(len(client.parked()), 'parked message')}?", abort=True, err=True)
        done = client.order_parked(what, server, keys, everything=everything, reason=reason)
    finish(done, as_json=as_json)
