"""One server, as `usher show SERVER` prints it: its state and why, what is pending, and what failed."""

from datetime import UTC, datetime

from rich.console import Console

from usher.api.client import Client
from usher.api.types import ServerState
from usher.cli import attempts, held, history, one_issue
from usher.cli.screen import coloured, console, issues, print_json, shell, zoned
from usher.runtime.wording import count, span
from usher.settings import Settings


def show(client: Client, name: str, settings: Settings, *, as_json: bool) -> None:
    """Print one server. Raises NotFound."""
    server = client.server(name)
    if as_json:
        print_json(server)
        return
    screen = console()
    screen.print(server.server, coloured(server.state), style="bold")
    _print_deploys(screen, server)
    for sentence in attempts.again(client.messages(server=server.server, state="retrying"), settings):
        screen.print(f"  {sentence}", soft_wrap=True)
    one_issue.print_parked(client, client.messages(server=server.server, state="parked"))


def _print_deploys(screen: Console, server: ServerState) -> None:
    """Print the running deploy, the next one and the last one."""
    if server.running and server.state != "recovering":
        since = f"{zoned(server.running.since)}, for {span(datetime.now(UTC) - server.running.since)}"
        screen.print(f"  Deploying {issues(server.running.issues)} since {since} (deploy {server.running.deploy}).")
    if server.state == "recovering":
        until = f" until {zoned(server.next_change)}, at the latest" if server.next_change else ""
        screen.print(f"  {_sentence(server.reason + until)}", style="yellow", soft_wrap=True)
    if server.state in ("overdue", "stuck"):
        screen.print(f"  {_sentence(server.reason)}", style="red", soft_wrap=True)
    for hold in server.holds:
        screen.print(f"  {held.sentence(hold)}.", style="magenta", soft_wrap=True)
    if server.waiting:
        messages = count(server.waiting_messages, "message")
        screen.print(f"  Pending: {issues(server.waiting)} ({count(len(server.waiting), 'issue')}, {messages}).")
        screen.print(f"  {why_not_yet(server, datetime.now(UTC))}", soft_wrap=True)
    if server.command:
        rehearsed = "  (rehearsal: shown, not run)" if server.rehearsed else ""
        screen.print(f"  Would run now: {shell(server.command)}{rehearsed}", soft_wrap=True)
    if not server.running and not server.waiting:
        example = f"usher send {server.project.upper()}-111 {server.status}"
        screen.print(f"  Nothing is pending. `{example}` reports a move by hand.", soft_wrap=True)
    if server.last:
        last = f"{history.ended(server.last)} at {zoned(server.last.ended_at)} ({server.last.deploy})"
        screen.print(f"  Last deploy: {last}.", soft_wrap=True)


def why_not_yet(server: ServerState, now: datetime) -> str:
    """Why a server's pending issues have not been deployed yet, and when they are, in a sentence or two."""
    closes, limit = server.window_closes_at, server.window_limit_at
    if server.state == "held":
        return "They are deployed together once no hold stands."
    if server.state in ("stuck", "recovering"):
        return "They are deployed when that command has ended."
    if server.running:
        after = f" Their window closes at {zoned(closes)}." if closes and closes > now else ""
        return f"They are deployed after the running deploy.{after}"
    if closes is None or closes <= now:
        return _sentence(server.reason or "its window has closed")
    moves = f" Another message moves this, to {zoned(limit)} at most." if limit and limit > closes else ""
    return f"Deploys at {zoned(closes)}, in {span(closes - now)}: {server.next_reason}.{moves}"


def _sentence(phrase: str) -> str:
    return f"{phrase[:1].upper()}{phrase[1:]}."
