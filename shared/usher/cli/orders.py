"""`usher withdraw`, `parked` and `retry`: what a person orders when something failed, or has become pointless."""

import sys
from collections import defaultdict
from collections.abc import Iterable
from typing import Annotated, Literal

import typer

from usher.answers import Ordered, OrderedMessage, Withdrawal, WithdrawnMessage
from usher.cli.screen import clock, console, issues, print_json, table, zone
from usher.cli.tell import Json, is_issue
from usher.client import Client
from usher.errors import BadCommand, UnknownServer
from usher.issues import Issue
from usher.servers import Servers
from usher.settings import load
from usher.words import count

Words = Annotated[
    list[str] | None,
    typer.Argument(help="A server, issues, or both.", metavar="SERVER|ISSUE", show_default=False),
]
All = Annotated[bool, typer.Option("--all", help="Everything that is parked.")]


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
    server, keys = told_apart(words, settings.catalogue)
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


def told_apart(words: Iterable[str], servers: Servers) -> tuple[str | None, list[str]]:
    """The server among these words, if there is one, and the issues. Raises BadCommand."""
    keys: list[str] = []
    named: set[str] = set()
    for word in words:
        if is_issue(word):
            keys.append(word)
            continue
        try:
            named.add(servers.named(word).name)
        except UnknownServer as unknown:
            neither = f"{ascii(word)[:80]} is neither an issue, like ABC-111, nor a server"
            raise BadCommand(why=f"{neither}; known: {unknown.facts['known']}") from None
    if len(named) > 1:
        raise BadCommand(why=f"name one server at a time, not {' and '.join(sorted(named))}")
    return next(iter(named), None), keys


def _by_server(messages: Iterable[OrderedMessage | WithdrawnMessage]) -> dict[str, list[Issue]]:
    """The issues per server, none twice."""
    found: dict[str, dict[Issue, None]] = defaultdict(dict)
    for message in messages:
        found[message.server][message.issue] = None
    return {server: list(keys) for server, keys in found.items()}


def _say_withdrawn(done: Withdrawal, server: str | None) -> None:
    screen = console()
    for where, keys in _by_server(done.withdrawn).items():
        screen.print(f"Withdrawn from {where}: {issues(keys)}.")
    for one in done.running:
        screen.print(f"{one.issue} is being deployed to {one.server} by {one.deploy}; it counts if that does not pass.")
    if done.nothing:
        where = f"for {server}" if server else "anywhere"
        screen.print(f"Nothing of {issues(done.nothing)} waits {where}.")
        screen.print(f"Next: `usher show {done.nothing[0]}` says what became of it.", style="dim")


parked = typer.Typer(rich_markup_mode="rich", context_settings={"help_option_names": ["-h", "--help"]})


@parked.callback(invoke_without_command=True)
def list_parked(context: typer.Context, as_json: Json = False) -> None:
    """What failed for good and waits for a person: why, and since when. Try it again, or drop it.

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
    screen = console()
    if not found:
        screen.print("Nothing is parked. `usher history` shows the deploys.")
        return
    rows = table("Issue", "Server", f"Since ({zone()})", "Attempt", "Why", "Deploy")
    for message in found:
        since, why = clock(message.changed_at), message.reason or message.outcome or ""
        rows.add_row(str(message.issue), message.server, since, str(message.attempt), why, message.deploy or "")
    screen.print(rows)
    first = found[0]
    screen.print(f"Next: `usher parked retry {first.issue}` or `usher parked drop {first.issue}`.", style="dim")


@parked.command()
def retry(words: Words = None, everything: All = False, as_json: Json = False) -> None:
    """Try parked issues again at once: of a server, these issues, or --all. The window is kept as usual.

    The exit code is 1 if nothing was parked.

    \b
    Examples:
      usher parked retry beta.abc.wwts.com
      usher parked retry ABC-111 ABC-113
      usher parked retry beta.abc.wwts.com ABC-111
      usher parked retry --all
    """
    _order("retry", words, everything=everything, asking=False, as_json=as_json)


@parked.command()
def drop(
    words: Words = None,
    everything: All = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Ask nothing.")] = False,
    as_json: Json = False,
) -> None:
    """Forget parked issues: of a server, these issues, or --all. They are not deployed until they move again.

    The exit code is 1 if nothing was parked.

    \b
    Examples:
      usher parked drop ABC-111
      usher parked drop beta.abc.wwts.com
      usher parked drop --all
    """
    _order("drop", words, everything=everything, asking=not yes, as_json=as_json)


def _order(
    what: Literal["retry", "drop"], words: list[str] | None, *, everything: bool, asking: bool, as_json: bool
) -> None:
    settings = load()
    server, keys = told_apart(words or (), settings.catalogue)
    if bool(words) == everything:
        raise BadCommand(why=f"name a server or issues, or --all: `usher parked {what} --help` shows how")
    with Client(settings) as client:
        if everything and asking and sys.stdin.isatty():
            typer.confirm(f"Drop {count(len(client.parked()), 'parked message')}?", abort=True, err=True)
        done = client.order_parked(what, server, keys, everything=everything)
    _finish(done, "Tried again" if what == "retry" else "Dropped", as_json=as_json)


def retry_deploy(
    deploy: Annotated[str, typer.Argument(help="Its id, as in `usher history`.", metavar="DEPLOY")],
    as_json: Json = False,
) -> None:
    """Try again at once what a failed deploy covered, whether it is parked or waits for its next attempt.

    The exit code is 1 if nothing of it was left to try again.

    \b
    Examples:
      usher retry 0f8fad5bd9cb
      usher history --outcome failed     lists them
    """
    with Client(load()) as client:
        done = client.retry(deploy)
    _finish(done, "Tried again", as_json=as_json)


def _finish(done: Ordered, verb: str, *, as_json: bool) -> None:
    """Say what an order did; the exit code is 1 if that is nothing."""
    if as_json:
        print_json(done)
        raise typer.Exit(0 if done.messages else 1)
    screen = console()
    for where, keys in _by_server(done.messages).items():
        screen.print(f"{verb}: {issues(keys)} on {where}.")
    for left in done.left:
        screen.print(f"{left.issue} on {left.server} is left as it is: {left.why}", soft_wrap=True)
    if not done.messages and not done.left:
        screen.print("There is nothing of that. `usher parked` lists what is parked, `usher history` the deploys.")
    raise typer.Exit(0 if done.messages else 1)
