"""`usher ignored`: the ignored moves, and the setting that would accept each."""

from collections.abc import Iterable

from usher.api.client import Client
from usher.api.types import IgnoredMove
from usher.cli.options import Json
from usher.cli.screen import clock, console, print_json, zone
from usher.cli.tables import table
from usher.settings import load


def ignored(as_json: Json = False) -> None:
    """List recently ignored moves, grouped by reason, with the settings that would accept them.

    With --json, every move is listed.

    \b
    Examples:
      usher ignored
      usher ignored --json
    """
    with Client(load()) as client:
        found = client.ignored()
    if as_json:
        print_json(found)
        return
    screen = console()
    if not found:
        screen.print("No moves have been ignored.")
        return
    rows = table(f"Latest ({zone()})", "Times", "Status", "Issue", "Why", "To accept it, in usher.toml")
    for group in _groups(found):
        latest = group[0]
        rows.add_row(
            clock(latest.at),
            str(len(group)),
            latest.status or "",
            latest.issue or "",
            # the rest of the sentence is in the next column
            latest.reason.partition(". To ")[0],
            latest.accept or "",
        )
    screen.print(rows)


def _groups(moves: Iterable[IgnoredMove]) -> list[list[IgnoredMove]]:
    """Group moves by project, status and reason. The order is kept."""
    found: dict[tuple[str, str | None, str], list[IgnoredMove]] = {}
    for move in moves:
        project = (move.issue or "").rpartition("-")[0]
        found.setdefault((project, move.status, move.reason), []).append(move)
    return list(found.values())
