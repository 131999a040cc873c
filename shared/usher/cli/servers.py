"""`usher servers`: every server at a glance."""

from collections.abc import Iterable
from datetime import UTC, datetime

from usher.api.client import Client
from usher.api.types import ServerState
from usher.cli import history
from usher.cli.options import Json
from usher.cli.screen import clock, coloured, console, issues, print_json, zone
from usher.cli.tables import table
from usher.core.issues import Issue
from usher.runtime.wording import count, span
from usher.settings import load


def servers(as_json: Json = False) -> None:
    """List every server: its state, its pending issues, and what happens next.

    \b
    Examples:
      usher servers
      usher servers --json
    """
    with Client(load()) as client:
        found = client.servers()
    if as_json:
        print_json(found)
        return
    rows = table("Server", "State", "Issues", f"Next ({zone()})", f"Last ({zone()})")
    for server in found:
        last = f"{history.ended(server.last)} {clock(server.last.ended_at)}" if server.last else ""
        rows.add_row(server.server, coloured(server.state), issues(_concerned(server), 6), _next(server), last)
    console().print(rows)


def _concerned(server: ServerState) -> Iterable[Issue]:
    """The issues that the state is about: being deployed, or else pending, or else failed."""
    if server.running:
        return server.running.issues
    return server.waiting or sorted({*server.retrying, *server.parked})


def _next(server: ServerState) -> str:
    """What happens next, and what waits for a person: `deploys 14:08:26; 1 parked`."""
    return "; ".join(part for part in (_deploy(server), _retries(server), _parked(server)) if part)


def _deploy(server: ServerState) -> str:
    now, closes = datetime.now(UTC), server.window_closes_at
    if server.state == "stuck":
        since = f" for {span(now - server.since)}" if server.since else ""
        return f"cannot be killed{since}; see `usher show {server.server}`"
    if server.state == "recovering" and server.next_change:
        return f"waits for a lost command until {clock(server.next_change)}"
    if server.running:
        lasted = span(now - server.running.since)
        since = f"no end reported for {lasted}" if server.state == "overdue" else f"for {lasted}"
        return f"{since}; {count(len(server.waiting), 'issue')} pending" if server.waiting else since
    if server.state == "held":
        return f"held until {clock(server.next_change)}" if server.next_change else "held; no end is known"
    if closes is None:
        return ""
    return f"deploys {clock(closes)}" if closes > now else f"due since {clock(closes)}"


def _retries(server: ServerState) -> str:
    if not server.retried_at:
        return ""
    more = f" and {len(server.retrying) - 1} later" if len(server.retrying) > 1 else ""
    return f"retries {clock(server.retried_at)}{more}"


def _parked(server: ServerState) -> str:
    return f"{len(server.parked)} parked" if server.parked else ""
