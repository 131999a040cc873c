"""`usher ignored`: which moves came to nothing, and the settings line that would accept each."""

from collections.abc import Iterable

from usher.api.client import Client
from usher.api.types import IgnoredMove
from usher.cli.options import Json
from usher.cli.screen import clock, console, print_json, table, zone
from usher.settings import load


def ignored(as_json: Json = False) -> None:
    """The moves that were ignored lately, alike ones together, why, and the settings line that would accept them.

    With --json it is every move.

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
        screen.print("No move has been ignored since trackers started.")
        return
    rows = table(f"Latest ({zone()})", "Times", "Status", "Issue", "Why", "To accept it, in usher.toml")
    for alike in _together(found):
        latest = alike[0]
        rows.add_row(
            clock(latest.at),
            str(len(alike)),
            latest.status or "",
            latest.issue or "",
            # the rest of the sentence is the line beside it
            latest.reason.partition(". To accept it")[0],
            latest.accept or "",
        )
    screen.print(rows)


def _together(moves: Iterable[IgnoredMove]) -> list[list[IgnoredMove]]:
    """Moves of one project to one status that were ignored for one reason, together; the order stays as it is."""
    found: dict[tuple[str, str | None, str], list[IgnoredMove]] = {}
    for move in moves:
        project = (move.issue or "").rpartition("-")[0]
        found.setdefault((project, move.status, move.reason), []).append(move)
    return list(found.values())
