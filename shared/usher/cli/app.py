"""The commands, by name. What each needs is loaded when it runs."""

from importlib.metadata import version
from typing import Annotated

import typer

from usher.cli import (
    abort,
    doctor,
    explain,
    history,
    ignored,
    init,
    orders,
    parked,
    rebuild,
    retry,
    send,
    servers,
    show,
    withdraw,
)

RUN, ASK, SET_UP = "Run it", "Use it", "Set it up"

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
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


@app.command(rich_help_panel=RUN)
def up() -> None:
    """Run Usher on this machine: the three services, and a broker if none is configured. Ctrl-C stops everything.

    \b
    Examples:
      usher up
      USHER_CONFIG=/etc/usher.toml usher up
      USHER_TRACKERS__PORT=9001 usher up
    """
    from usher.settings import load
    from usher.up import run

    raise typer.Exit(run(load()))


@app.command(rich_help_panel=RUN)
def demo() -> None:
    """Watch a burst of moves become one deploy per server. It takes a minute and leaves nothing behind.

    It needs no settings, changes none, and runs no command of yours.
    """
    from usher.demo import run

    raise typer.Exit(run())


app.command(rich_help_panel=ASK)(send.send)
app.command(rich_help_panel=ASK)(withdraw.withdraw)
app.command(rich_help_panel=ASK)(servers.servers)
app.command(rich_help_panel=ASK)(show.show)
app.command(rich_help_panel=ASK)(history.history)
app.command(rich_help_panel=ASK)(ignored.ignored)
app.add_typer(parked.parked, name="parked", rich_help_panel=ASK)
app.command(rich_help_panel=ASK)(retry.retry)
app.command(rich_help_panel=ASK)(abort.abort)
app.command(rich_help_panel=ASK)(orders.orders)
app.command(rich_help_panel=SET_UP)(init.init)
app.command(rich_help_panel=SET_UP)(explain.explain)
app.command(rich_help_panel=SET_UP)(doctor.doctor)
app.command(rich_help_panel=SET_UP)(rebuild.rebuild)
