"""The demo's output: a live screen on a terminal, plain lines anywhere else."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Protocol

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from usher.api.types import ServerState
from usher.cli.screen import COLOURS, issues
from usher.demo.play import Figures, Moment
from usher.demo.story import MOVES
from usher.runtime.wording import count, span

STORY = "After a meeting, one issue is moved once to Test and four times to Beta, and other issues are moved too."
RULE = "A server deploys once its window closes: 5 s after the last move, but no later than 15 s after the first."


class Display(Protocol):
    """Shows the moments of the demo as they come."""

    def show(self, moment: Moment) -> None:
        """Show one moment."""


@contextmanager
def display(console: Console) -> Iterator[Display]:
    """The display that suits the console."""
    console.print(f"\n{STORY}", style="bold")
    console.print(f"{RULE}\n")
    if not console.is_terminal:
        yield Lines(console)
        return
    with Live(console=console, auto_refresh=False) as live:
        yield Screen(live)
    console.print()


class Screen:
    """Shows everything, and redraws it at each moment."""

    def __init__(self, live: Live) -> None:
        self._live = live

    def show(self, moment: Moment) -> None:
        """Draw the moment."""
        self._live.update(Group(_moves(moment), Text(), _servers(moment)), refresh=True)


class Lines:
    """Prints a line for each change."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._sent = 0
        self._before: dict[str, str] = {}

    def show(self, moment: Moment) -> None:
        """Print what is new."""
        for move in moment.sent[self._sent :]:
            self._say(moment, f"moved: {move.issue} to {move.status}")
        self._sent = len(moment.sent)
        for server in moment.servers:
            state = server.state if server.last is None or server.state != "idle" else server.last.outcome
            if self._before.get(server.server, "idle") != state:
                self._say(moment, f"{server.server} {_change(server)}")
            self._before[server.server] = state

    def _say(self, moment: Moment, line: str) -> None:
        self._console.print(f"{moment.at:5.1f} s  {line}", soft_wrap=True)


def _change(server: ServerState) -> str:
    if server.running:
        return f"deploying: {issues(server.running.issues)}"
    if server.waiting:
        return "waiting: the window is open"
    return server.last.outcome if server.last else "idle"


def _moves(moment: Moment) -> Table:
    """The moves in two columns, so that everything fits on a small terminal."""
    grid = Table.grid(padding=(0, 3))
    half = (len(MOVES) + 1) // 2
    for left in range(half):
        grid.add_row(*(_move(moment, number) for number in (left, left + half) if number < len(MOVES)))
    return grid


def _move(moment: Moment, number: int) -> Text:
    move = MOVES[number]
    if number >= len(moment.sent):
        return Text(f"  {move.at:4.1f} s  …", style="dim")
    return Text(f"▸ {move.at:4.1f} s  {move.issue} to {move.status}")


def _servers(moment: Moment) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold", expand=False)
    for name, width in (("Server", 13), ("Moves", 5), ("Issues", 23), ("Now", 34)):
        table.add_column(name, min_width=width)
    for server in moment.servers:
        moves = [move for move in moment.sent if move.server == server.server]
        keys = issues(sorted({move.issue for move in moves}))
        table.add_row(server.server, str(len(moves)), keys, _now(server))
    return table


def _now(server: ServerState) -> Text:
    now = datetime.now(UTC)
    if server.running:
        since = (now - server.running.since).total_seconds()
        return Text(f"deploying for {max(since, 0):.1f} s", style=COLOURS["deploying"])
    if server.window_closes_at:
        left = max((server.window_closes_at - now).total_seconds(), 0)
        return Text(f"waiting; window closes in {left:.1f} s", style=COLOURS["waiting"])
    if server.last:
        return Text(server.last.outcome, style=COLOURS.get(server.last.outcome, ""))
    return Text("idle", style=COLOURS["idle"])


def show_figures(console: Console, found: Figures) -> None:
    """Show the figures and the next step."""
    style = "bold green" if found.as_expected else "bold red"
    console.print(f"{count(found.messages, 'move')} → {count(len(found.deploys), 'deploy')}", style=style)
    for deploy in found.deploys:
        took = span(deploy.ended_at - deploy.started_at) if deploy.ended_at and deploy.started_at else "?"
        of = count(deploy.messages, "move")
        outcome = deploy.outcome or "still running"
        console.print(f"  {deploy.server:<14} {issues(deploy.issues):<24} {of:>7}  {outcome} in {took}", soft_wrap=True)
    if not found.as_expected:
        console.print("Expected one deploy per server; the machine may be overloaded. Try again.")
        return
    console.print("\nNext: `usher init` writes your settings; `usher up` runs Usher (in a clone: `make up`).")
