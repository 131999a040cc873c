"""The commands, by name. Each is loaded when it is used."""

from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

RUN, ASK, SET_UP = "Run it", "Use it", "Set it up"

CONTENTS = {
    "up": (
        RUN,
        "Run Usher on this machine: the three services, and a broker if none is configured. Ctrl-C stops everything.",
    ),
    "demo": (RUN, "Watch a burst of moves become one deploy per server. It takes a minute and leaves nothing behind."),
    "send": (ASK, "Report a move by hand, as Jira's webhook would. Returns once the broker has confirmed it."),
    "withdraw": (ASK, "Withdraw issues that are pending or will be retried, from one server or from all."),
    "hold": (
        ASK,
        "Hold servers: nothing is deployed there, and moves collect, until the hold is released or expires.",
    ),
    "release": (ASK, "Release a hold, by its id or by its scope."),
    "holds": (ASK, "List the holds that stand, oldest first: what is held, by whom, why, and until when."),
    "servers": (ASK, "List every server: its state, its pending issues, and what happens next."),
    "show": (
        ASK,
        "Show a server (what is pending, and its next deploy), an issue (its history), a deploy, or a message.",
    ),
    "history": (ASK, "List the deploys, newest first."),
    "ignored": (ASK, "List recently ignored moves, grouped by reason, with the settings that would accept them."),
    "parked": (ASK, "List the parked messages: those that Usher no longer retries."),
    "retry": (
        ASK,
        "Queue the issues of a failed deploy again, whether they are parked or waiting for their next attempt.",
    ),
    "abort": (ASK, "Report that the command of a stuck deploy has ended, so that its server can deploy again."),
    "orders": (
        ASK,
        "List the orders (hold, withdraw, retry …), newest first: who gave each, why, and its result.",
    ),
    "init": (SET_UP, "Write usher.toml: the projects, Jira's names for the statuses, the servers and the command."),
    "explain": (
        SET_UP,
        "Show what a move would do: issue, status, server, command. Uses only the settings; nothing is sent.",
    ),
    "doctor": (SET_UP, "Check settings, command, broker, queues, policies and services; say how to fix each fault."),
    "rebuild": (SET_UP, "Rebuild the ledger (the database) from the journal (the events on the broker)."),
}
"""Each command's panel and purpose, the first paragraph of its help. `usher --help` needs nothing else."""

STYLE: dict[str, Any] = {"rich_markup_mode": "rich", "context_settings": {"help_option_names": ["-h", "--help"]}}


class Contents(TyperGroup):
    """All commands."""

    def __init__(self, **more: Any) -> None:
        super().__init__(**more)
        self.commands = dict.fromkeys(CONTENTS)  # type: ignore[assignment]  # only the names are used
        self._listing = False

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in CONTENTS:
            return None
        if self._listing:
            panel, purpose = CONTENTS[cmd_name]
            return TyperCommand(cmd_name, help=purpose, rich_help_panel=panel)
        return load_command(cmd_name)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        self._listing = True
        super().format_help(ctx, formatter)


def load_command(name: str) -> Any:
    """Load a command from the module of its name, which contains a function or a group of that name."""
    found = getattr(import_module(f"usher.cli.{name}"), name)
    if not isinstance(found, typer.Typer):
        function, found = found, typer.Typer(add_completion=False, **STYLE)
        found.command(name)(function)
    return get_command(found)


app = typer.Typer(cls=Contents, no_args_is_help=True, pretty_exceptions_enable=False, add_completion=False, **STYLE)


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"usher {version('usher')}")
        raise typer.Exit


@app.callback()
def usher(
    shown: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Usher turns moves in Jira into deploys, one at a time per server.

    \b
    Examples:
      usher demo                     see it work; it leaves nothing behind
      usher init                     write your own usher.toml
      usher up                       run it
      usher explain ABC-111 beta     what would a move do?
      usher send ABC-111 beta        report a move by hand
      usher show beta.abc.wwts.com   why has nothing been deployed yet?
      usher show ABC-111             what happened to it?
    """
