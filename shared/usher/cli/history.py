"""`usher history`, and one deploy of it: what was deployed, and how it ended."""

from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.text import Text

from usher.api.client import Client, NotFound
from usher.api.types import Deploy, Last, rfc3339
from usher.cli.options import Json
from usher.cli.screen import clock, coloured, console, issues, print_json, shell, zone, zoned
from usher.cli.tables import table
from usher.cli.times import since_option, until_option
from usher.core.events import Outcome
from usher.runtime.wording import count, harmless, process, span
from usher.settings import load

LAST_LINES = 5
"""The number of lines shown of a command's output."""


def outcome_option(word: str) -> str:
    """Parse an option that names an outcome, in any case. Raises BadParameter."""
    name = word.strip().lower().replace("-", "_").replace(" ", "_")
    if name not in set(Outcome):
        raise typer.BadParameter(f"{ascii(word)[:80]} is not an outcome; known: {', '.join(Outcome)}")
    return name


def history(
    server: Annotated[str | None, typer.Argument(help="Only deploys of this server.", metavar="SERVER")] = None,
    ended: Annotated[
        str | None,
        typer.Option(
            "--outcome",
            help="Only deploys with this outcome: passed, failed, timed_out, interrupted.",
            parser=outcome_option,
            metavar="OUTCOME",
        ),
    ] = None,
    since: Annotated[
        datetime | None,
        typer.Option("--since", help="Only deploys that began then or later.", parser=since_option, metavar="TIME"),
    ] = None,
    until: Annotated[
        datetime | None,
        typer.Option(
            "--until",
            help="Only deploys that began before then. A date means the end of that day.",
            parser=until_option,
            metavar="TIME",
        ),
    ] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="At most this many.")] = 20,
    as_json: Json = False,
) -> None:
    """List the deploys, newest first.

    A TIME is a date, a time (today), a date and a time, or how long ago it was: 2026-11-22, 14:00,
    "2026-11-22 14:00", 2h, 3d.

    \b
    Examples:
      usher history
      usher history beta.abc.wwts.com -n 5
      usher history --since 2026-11-22 --until "2026-11-22 14:00"
      usher history --outcome failed --since 3d --json
      usher show 0f8fad5bd9cb                   one deploy, with its output
    """
    settings = load()
    times = {name: rfc3339(time) for name, time in (("since", since), ("until", until)) if time}
    named = {"server": settings.catalogue.named(server).name} if server else {}
    matching = {**named, **({"outcome": ended} if ended else {}), **times}
    with Client(settings) as client:
        found = client.deploys(limit, **matching)
    if as_json:
        print_json(found)
        return
    screen = console()
    if not found:
        screen.print("No such deploys." if matching else "No deploys yet. `usher servers` shows what is pending.")
        return
    rows = table(f"Began ({zone()})", "Took", "Server", "Outcome", "Issues", "Deploy", "Why")
    for deploy in found:
        rows.add_row(
            clock(deploy.started_at or deploy.taken_at),
            _took(deploy),
            deploy.server,
            outcome(deploy.outcome, rehearsed=deploy.rehearsed),
            issues(deploy.issues, 6),
            deploy.id,
            _why(deploy),
        )
    screen.print(rows)


def _took(deploy: Deploy) -> str:
    """How long it took. Empty if it is running, or if nobody saw its end."""
    began, ended = deploy.started_at or deploy.taken_at, deploy.ended_at
    return span(ended - began) if began and ended else ""


def show_deploy(client: Client, deploy: str, *, as_json: bool) -> None:
    """Show one deploy: how it ended and why, its command, times, and the end of its output. Raises NotFound."""
    try:
        found = client.deploy(deploy)
    except NotFound:
        raise NotFound(why=f"there is no deploy {deploy}; `usher history` lists the deploys") from None
    if as_json:
        print_json(found)
        return
    screen = console()
    screen.print(found.server, outcome(found.outcome, rehearsed=found.rehearsed), style="bold")
    for name, text in _facts(found):
        screen.print(f"{name:>9}  {text}", soft_wrap=True)
    screen.print(f"{'Output':>9}  (last lines):")
    print_output(client, found, indent=11)
    if found.outcome in ("failed", "timed_out"):
        screen.print(f"Next: `usher retry {found.id}` retries the issues that are not deployed yet.", style="dim")


def _facts(deploy: Deploy) -> list[tuple[str, str]]:
    """The facts about a deploy, each with its label."""
    covered = f"{issues(deploy.issues)}  ({count(deploy.messages, 'message')})"
    code = "" if deploy.exit_code is None else str(deploy.exit_code)
    holder = process(deploy.holder) if deploy.holder else ""
    command = shell(deploy.command) if deploy.command else ""
    facts = [("Deploy", deploy.id), ("Issues", covered), ("Command", command), ("Why", _why(deploy))]
    return [fact for fact in [*facts, ("Exit code", code), ("When", _when(deploy)), ("By", holder)] if fact[1]]


def _why(deploy: Deploy) -> str:
    """Why it ended as it did. Empty if it passed."""
    return "" if deploy.outcome == "passed" else deploy.reason or ""


def _when(deploy: Deploy) -> str:
    """`21:40:00 CET to 21:48:17 CET, 8 min 17 s`."""
    began = deploy.started_at or deploy.taken_at
    if began is None:
        return f"ended {zoned(deploy.ended_at)}" if deploy.ended_at else ""
    if deploy.outcome is None:
        return f"since {zoned(began)}, for {span(datetime.now(UTC) - began)}"
    if deploy.ended_at is None:
        return f"since {zoned(began)}; nobody saw when it ended"
    return f"{zoned(began)} to {zoned(deploy.ended_at)}, {_took(deploy)}"


def print_output(client: Client, deploy: Deploy, *, indent: int) -> None:
    """Print the last lines of a command's output that are not blank, and where the complete output is."""
    screen = console()
    # after a carriage return, a terminal writes over the line: a progress bar shows only what it wrote last
    lines = [line.rstrip("\r").rpartition("\r")[2] for line in client.log(deploy.id).split("\n")]
    for line in [line for line in lines if harmless(line).strip()][-LAST_LINES:]:
        screen.print(f"{'':{indent}}{line}", soft_wrap=True)
    if deploy.log:
        screen.print(f"{'':{indent}}(complete output: {deploy.log}, on the deploys host)", soft_wrap=True)


def outcome(ended: str | None, *, rehearsed: bool) -> Text:
    """How a deploy ended, coloured: `passed (rehearsed)`."""
    return coloured(ended or "deploying") + Text(" (rehearsed)" if rehearsed else "")


def ended(last: Last) -> str:
    """How a server's last deploy ended, in words."""
    return outcome(last.outcome, rehearsed=last.rehearsed).plain
