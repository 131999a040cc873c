"""`usher holds`: lists what is held."""

from datetime import UTC, datetime, timedelta

from rich.text import Text

from usher.api.client import Client
from usher.api.types import Hold
from usher.cli.options import Json
from usher.cli.screen import clock, console, print_json, zone
from usher.cli.tables import table
from usher.runtime.wording import span
from usher.settings import load

OLD = timedelta(days=1)
"""A hold without an end is pointed out when it is this old: somebody may have forgotten it."""


def holds(as_json: Json = False) -> None:
    """List the holds that stand, oldest first: what is held, by whom, why, and until when.

    \b
    Examples:
      usher holds
      usher holds --json
    """
    with Client(load()) as client:
        found = client.holds()
    if as_json:
        print_json(found)
        return
    screen = console()
    if not found:
        screen.print("Nothing is held.")
        return
    rows = table("Held", f"Since ({zone()})", "By", f"Until ({zone()})", "Reason", "ID")
    for hold in found:
        what = f"warning: {hold.held}" if hold.warning else hold.held
        rows.add_row(what, clock(hold.since), hold.by, _until(hold), hold.reason, hold.id[:8])
    screen.print(rows)
    screen.print("`usher release ID` ends a hold.", style="dim")


def _until(hold: Hold) -> Text:
    if hold.until:
        return Text(clock(hold.until))
    age = datetime.now(UTC) - hold.since
    return Text(f"no end; {span(age)} old", style="yellow") if age >= OLD else Text("it is released")
