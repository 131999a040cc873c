"""`usher show`: what the running services know about a server, an issue or a deploy."""

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

from usher.api.client import Client
from usher.api.types import MessageState, ServerState
from usher.cli import attempts, history
from usher.cli.options import Json, is_issue
from usher.cli.screen import clock, coloured, console, issues, print_json, shell, table, zone, zoned
from usher.runtime.wording import count, span
from usher.settings import Settings, load

_DEPLOY = re.compile("[0-9a-f]{12}")
_STATES = {
    "superseded": "superseded: the deploy beside it covered a newer message of the issue.",
    "retried": "retried: its deploy failed; its next attempt is on the line below.",
    "parked": "parked: its deploy failed for the last time; a person decides whether to retry it.",
}


def show(
    what: Annotated[
        str, typer.Argument(help="A server, an issue, or the id of a deploy.", metavar="SERVER|ISSUE|DEPLOY")
    ],
    as_json: Json = False,
) -> None:
    """Show a server's pending issues and next deploy, an issue's history per server, or one deploy.

    \b
    Examples:
      usher show beta.abc.wwts.com
      usher show ABC-111
      usher show 0f8fad5bd9cb        a deploy, as in `usher history`
    """
    settings = load()
    with Client(settings) as client:
        if is_issue(what):
            _show_issue(client, what, settings, as_json=as_json)
            return
        if _DEPLOY.fullmatch(what) and what not in {server.name for server in settings.catalogue}:
            history.show_deploy(client, what, as_json=as_json)
            return
        server = client.server(what)
        if as_json:
            print_json(server)
        else:
            _show_server(server, settings)
            for sentence in attempts.again(client.messages(server=what, state="retrying"), settings):
                console().print(f"  {sentence}", soft_wrap=True)
            _show_parked(client.messages(server=what, state="parked"), client)


def _show_server(server: ServerState, settings: Settings) -> None:
    screen = console()
    screen.print(server.server, coloured(server.state), style="bold")
    if server.running:
        since = f"{zoned(server.running.since)}, for {span(datetime.now(UTC) - server.running.since)}"
        screen.print(f"  Deploying {issues(server.running.issues)} since {since} (deploy {server.running.deploy}).")
    if server.waiting:
        messages = count(server.waiting_messages, "message")
        screen.print(f"  Pending: {issues(server.waiting)} ({count(len(server.waiting), 'issue')}, {messages}).")
        screen.print(f"  {why_not_yet(server, settings, datetime.now(UTC))}")
    if server.command:
        rehearsed = "  (rehearsal: shown, not run)" if server.rehearsed else ""
        screen.print(f"  Would run now: {shell(server.command)}{rehearsed}", soft_wrap=True)
    if not server.running and not server.waiting:
        screen.print(
            f"  Nothing is pending. `usher send {server.project.upper()}-111 {server.status}` reports a move by hand."
        )
    if server.last:
        screen.print(
            f"  Last deploy: {history.ended(server.last)} at {zoned(server.last.ended_at)} ({server.last.deploy})."
        )


def why_not_yet(server: ServerState, settings: Settings, now: datetime) -> str:
    """Why a server's pending issues have not been deployed yet, in a sentence."""
    opened, closes = server.window_opened_at, server.window_closes_at
    if opened is None or closes is None:
        return "The window has not opened yet: is `deploys` running? Run `usher doctor`."
    window = settings.window.window()
    capped = closes - opened >= timedelta(milliseconds=window.cap)
    rule = (
        f"the limit, {span(timedelta(milliseconds=window.cap))} after the first message"
        if capped
        else f"{span(timedelta(milliseconds=window.quiet))} after the last message; another message extends it until "
        f"{zoned(opened + timedelta(milliseconds=window.cap))} at most"
    )
    if closes > now:
        return f"The window closes at {zoned(closes)}, in {span(closes - now)} ({rule})."
    awaited = "the running deploy to end" if server.running else "a free slot: `usher servers` shows what is running"
    return f"The window closed at {zoned(closes)} ({rule}); it is waiting for {awaited}."


def _show_issue(client: Client, issue: str, settings: Settings, *, as_json: bool) -> None:
    found = client.messages(issue=issue)
    if as_json:
        print_json(found)
        return
    screen = console()
    if not found:
        screen.print(f"Usher has received nothing for {issue}. `usher ignored` shows the ignored moves, and why.")
        return
    rows = table(f"Received ({zone()})", "Server", "State", f"Since ({zone()})", "Deploy", "Times received", "Note")
    for move in attempts.by_move(found):
        for message in move:
            is_first = message is move[0]
            rows.add_row(
                clock(message.queued_at) if is_first else "",
                message.server,
                history.outcome(message.state, rehearsed=message.rehearsed),
                clock(message.changed_at),
                message.deploy or "",
                _times(message.received) if is_first else "",
                attempts.note(message, settings),
            )
    screen.print(rows)
    for state in dict.fromkeys(message.state for message in found if message.state in _STATES):
        screen.print(f"  {_STATES[state]}", style="dim", soft_wrap=True)
    _show_parked([message for message in found if message.state == "parked"], client)


def _times(received: int) -> str:
    return "once" if received == 1 else f"{received} times"


def _show_parked(parked: list[MessageState], client: Client) -> None:
    """Print what failed and why, where the output is, and how to retry it."""
    screen = console()
    for message in parked:
        advice = f"`usher parked retry {message.server} {message.issue}` retries it, `usher parked drop` drops it."
        screen.print(f"  {message.issue} is parked: its deploy to {message.server} failed. {advice}", soft_wrap=True)
    for deploy in dict.fromkeys(message.deploy for message in parked if message.deploy):
        failed = client.deploy(deploy)
        screen.print(f"  Deploy {deploy}: {failed.reason}. Its output ends with:", soft_wrap=True)
        history.print_output(client, failed, indent=4)
