"""`usher hold`: stops deploys to servers, until the hold is released or expires."""

from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

from usher.api.client import Client
from usher.cli.options import Json
from usher.cli.ordered import finish
from usher.cli.times import hold_until
from usher.core.errors import BadCommand
from usher.core.scopes import EVERYTHING
from usher.settings import load
from usher.settings.units import duration


def hold(
    words: Annotated[
        list[str] | None,
        typer.Argument(
            help='What to hold: a server, a status, a project, or a status of a project, like "beta of ABC".',
            metavar="SCOPE",
        ),
    ] = None,
    reason: Annotated[str, typer.Option("--reason", help="Why. Everybody who asks sees it.", metavar="TEXT")] = "",
    until: Annotated[str | None, typer.Option("--until", help="When it ends by itself.", metavar="TIME")] = None,
    lasts: Annotated[
        str | None, typer.Option("--for", help="How long it lasts, like 30m, 2h or 3d.", metavar="DURATION")
    ] = None,
    zone: Annotated[
        str | None,
        typer.Option("--zone", help="The time zone of --until. Default: this machine's.", metavar="ZONE"),
    ] = None,
    warning: Annotated[bool, typer.Option("--warn", help="Stop nothing; only show the reason.")] = False,
    everything: Annotated[bool, typer.Option("--all", help="Hold every server, also those added later.")] = False,
    as_json: Json = False,
) -> None:
    """Hold servers: nothing is deployed there, and moves collect, until the hold is released or expires.

    A deploy that is already running continues. After the hold, one deploy covers everything that has collected. Several
    holds can stand on a server; it deploys again when the last one has ended. Without --until or --for, a hold stands
    until somebody releases it.

    A TIME is like 17:00, "Fri 09:00", "tomorrow 09:00" or "2026-11-27 09:00".

    \b
    Examples:
      usher hold beta.abc.wwts.com --reason "demo for the customer" --until "Fri 09:00"
      usher hold beta of ABC --reason "load test" --for 2h
      usher hold ABC --reason "data migration"
      usher hold --all --reason "the network is being replaced" --until 17:00 --zone Europe/Berlin
      usher hold beta --warn --reason "the test data is from last week"
    """
    if not words and not everything:
        raise BadCommand(why="say what to hold: a server, a status or a project; or --all")
    if words and everything:
        raise BadCommand(why="use either a scope or --all")
    if not reason.strip():
        raise BadCommand(why='say why: --reason "demo for the customer"')
    if until and lasts:
        raise BadCommand(why="use either --until or --for")
    ends = hold_until(until, zone) if until else None
    if lasts:
        ends = datetime.now(UTC) + _duration(lasts)
    with Client(load()) as client:
        done = client.hold(" ".join(words or [EVERYTHING]), reason=reason, until=ends, warning=warning)
    finish(done, as_json=as_json)


def _duration(text: str) -> timedelta:
    try:
        length = duration(text)
    except ValueError:
        length = timedelta()
    if length <= timedelta():
        raise BadCommand(why=f"{ascii(text)[:40]} is not a duration; write it like 30m, 2h or 3d")
    return length
