"""`usher servers`: every server at a glance."""

from datetime import UTC, datetime

from usher.api.client import Client
from usher.api.types import ServerState
from usher.cli import history
from usher.cli.options import Json
from usher.cli.screen import clock, coloured, console, issues, print_json, table, zone
from usher.runtime.wording import count, span
from usher.settings import load


def servers(as_json: Json = False) -> None:
    """Every server: its state, its pending issues, and what happens next.

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
        keys = server.running.issues if server.running else server.waiting
        last = f"{history.ended(server.last)} {clock(server.last.ended_at)}" if server.last else ""
        rows.add_row(server.server, coloured(server.state), issues(keys, 6), _next(server), last)
    console().print(rows)


def _next(server: ServerState) -> str:
    if server.running:
        since = f"deploying for {span(datetime.now(UTC) - server.running.since)}"
        return f"{since}; {count(len(server.waiting), 'issue')} pending" if server.waiting else since
    return f"deploys {clock(server.window_closes_at)}" if server.window_closes_at else ""
