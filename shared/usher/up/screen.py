"""The common log and the start screen: coloured on a terminal, plain anywhere else."""

import json
import queue
import threading
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from usher.local.choose import Broker
from usher.settings import Settings
from usher.up.exposure import exposures
from usher.up.supervisor import Program

COLOURS = {"trackers": "cyan", "deploys": "yellow", "successes": "green", "usher": "bold"}
MAX_PENDING_LINES = 10_000


class Log:
    """Writes the log lines of all services as they arrive. A separate thread does it, so that a paused terminal never
    blocks a service, and Ctrl-C never truncates a line."""

    def __init__(self, console: Console) -> None:
        self.colours = console.is_terminal
        self._console = console
        # Ctrl-C cannot interrupt its put() halfway, which would leave a lock behind
        self._lines: queue.SimpleQueue[RenderableType | None] = queue.SimpleQueue()
        self._writer = threading.Thread(target=self._write, name="log", daemon=True)
        self._writer.start()

    def report(self, who: str, line: str) -> None:
        """Show a line of a service. If the terminal reads nothing for long, lines are dropped."""
        self.show(Text("".join(c if c.isprintable() or c == "\t" else "\ufffd" for c in line), COLOURS.get(who, "")))

    def say(self, line: str) -> None:
        """Show a line of `usher up` itself."""
        self.report("usher", line)

    def show(self, what: RenderableType) -> None:
        """Show anything that Rich can render."""
        if self._lines.qsize() < MAX_PENDING_LINES:
            self._lines.put(what)

    def close(self) -> None:
        """Write the remaining lines, for at most a second."""
        self._lines.put(None)
        self._writer.join(1)

    def _write(self) -> None:
        while (what := self._lines.get()) is not None:
            try:
                self._console.print(what, soft_wrap=isinstance(what, Text))
            except (OSError, SystemExit):  # Rich exits when the pipe is closed
                return


def show(log: Log, settings: Settings, broker: Broker, running: Sequence[Program]) -> None:
    """Show the address of each part, whether deploys are rehearsed, what is exposed, and what to do next."""
    facts = _facts(settings, broker, {program.name: program.url for program in running})
    if log.colours:
        grid = Table.grid(padding=(0, 2))
        grid.add_column(style="bold", no_wrap=True)
        grid.add_column(overflow="fold")
        for name, fact in facts:
            grid.add_row(name, Text(fact))
        log.show(Panel(grid, title="Usher is up", expand=False))
    else:
        log.show(Text("Usher is up"))
        for name, fact in facts:
            log.show(Text(f"  {name:<12}{fact}"))
    for warning in exposures(settings):
        log.show(Panel(Text(warning), style="bold red", expand=False) if log.colours else Text(warning))
    # outside the frame, so that it can be copied
    for line in _next(settings, running):
        log.show(Text(line))


def _facts(settings: Settings, broker: Broker, urls: dict[str, str]) -> list[tuple[str, str]]:
    user, _ = broker.credentials
    login = f"password in {_short(broker.password_file)}" if broker.password_file else "password as in [broker] url"
    deploys = settings.deploys
    return [
        ("Webhook", f"{urls['trackers']}/webhooks/jira"),
        ("API", f"{urls['successes']}/docs, {urls['trackers']}/docs"),
        ("Broker", f"{broker.what}; console {broker.console}, user {user}, {login}"),
        ("Ledger", settings.successes.ledger_shown),
        ("Deploy logs", deploys.logs),
        ("Settings", settings.source),
        (
            "Command",
            "not set: deploys are rehearsed, nothing runs; `usher init` sets one"
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
        "  usher servers      what is pending, and when it deploys",
        "  usher demo         a burst of moves becomes one deploy per server",
        "Ctrl-C stops everything.",
    ]


def _short(path: Path) -> str:
    """The path relative to the current directory, if it is inside."""
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)
