"""The one log and the one screen: coloured on a terminal, plain anywhere else."""

import json
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from usher.broker.choose import Broker
from usher.settings import Settings
from usher.up.services import Program

COLOURS = {"trackers": "cyan", "deploys": "yellow", "successes": "green", "usher": "bold"}


class Log:
    """Lines of all services in one place, as they come."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self._closed = False

    def tell(self, who: str, line: str) -> None:
        """Show that line. If nobody reads any more, it is dropped, so that no service ever waits for a reader."""
        if self._closed:
            return
        harmless = "".join(c if c.isprintable() or c == "\t" else "\ufffd" for c in line)
        try:
            self.console.print(Text(harmless, style=COLOURS.get(who, "")), soft_wrap=True)
        except (OSError, SystemExit):  # Rich exits when the pipe is closed
            self._closed = True

    def say(self, line: str) -> None:
        """Show a line of Usher's own."""
        self.tell("usher", line)


def show(console: Console, settings: Settings, broker: Broker, running: Sequence[Program]) -> None:
    """Say where everything is, what is rehearsed, and what to do next."""
    facts = _facts(settings, broker, {program.name: program.url for program in running})
    if console.is_terminal:
        grid = Table.grid(padding=(0, 2))
        grid.add_column(style="bold", no_wrap=True)
        grid.add_column(overflow="fold")
        for name, fact in facts:
            grid.add_row(name, Text(fact))
        console.print(Panel(grid, title="Usher is up", expand=False))
    else:
        console.print("Usher is up")
        for name, fact in facts:
            console.print(f"  {name:<12}{fact}", soft_wrap=True, markup=False, highlight=False)
    # outside the frame, so that it can be copied
    for line in _next(settings, running):
        console.print(Text(line), soft_wrap=True)


def _facts(settings: Settings, broker: Broker, urls: dict[str, str]) -> list[tuple[str, str]]:
    user, _ = broker.credentials
    login = f"password in {_short(broker.password_file)}" if broker.password_file else "password as in [broker] url"
    deploys = settings.deploys
    return [
        ("Webhook", f"{urls['trackers']}/webhooks/jira"),
        ("API", f"{urls['successes']}/docs, {urls['trackers']}/docs"),
        ("Broker", f"{broker.what}; console {broker.console}, user {user}, {login}"),
        ("Ledger", settings.successes.ledger.partition("///")[2]),
        ("Deploy logs", deploys.logs),
        ("Settings", settings.source),
        (
            "Command",
            "none is set: deploys are rehearsed, nothing is run; `usher init` sets one"
            if deploys.rehearses
            else json.dumps(deploys.command),
        ),
    ]


def _next(settings: Settings, running: Sequence[Program]) -> list[str]:
    server = max(settings.catalogue, key=lambda known: known.status == "beta")
    issue = f"{server.project.upper()}-111"
    message = json.dumps({"issue_id": issue, "status": server.status})
    trackers = next(program.url for program in running if program.name == "trackers")
    return [
        "Next, in another terminal:",
        f"  usher send {issue} {server.status}",
        f"  curl -H 'Content-Type: application/json' -d '{message}' {trackers}/messages",
        "  usher servers      what waits, and until when",
        "  usher demo         a storm of moves becoming one deploy per server",
        "Ctrl-C stops everything.",
    ]


def _short(path: Path) -> str:
    """That path as seen from here, if it is below."""
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)
