"""What commands print: tables and sentences for people, in local time; JSON in UTC for programs."""

import json
import shlex
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

from pydantic import BaseModel
from rich.console import Console
from rich.table import Table
from rich.text import Text

from usher.core.issues import Issue

COLOURS = {
    "idle": "dim",
    "waiting": "yellow",
    "deploying": "cyan",
    "failed": "red",
    "failing": "red",
    "parked": "red",
    "retrying": "yellow",
    "retried": "dim",
    "superseded": "dim",
    "withdrawn": "dim",
    "deployed": "green",
    "passed": "green",
    "timed_out": "red",
    "interrupted": "yellow",
}
PIPED_WIDTH = 200
WHOLE = ("Deploy", "Outcome", "State", "Took", "ID")
"""Columns whose cells are looked for or pasted: never broken."""


def console(*, stderr: bool = False) -> Console:
    """Where people read: coloured on a terminal only; wide enough to cut nothing when it is a file or a pipe."""
    found = Console(stderr=stderr, highlight=False, markup=False)
    return found if found.is_terminal else Console(stderr=stderr, highlight=False, markup=False, width=PIPED_WIDTH)


def print_json(value: BaseModel | Sequence[BaseModel] | dict[str, Any]) -> None:
    """Print JSON and nothing else, the same on a terminal and in a pipe."""
    if isinstance(value, BaseModel):
        plain: Any = value.model_dump(mode="json")
    elif isinstance(value, dict):
        plain = value
    else:
        plain = [item.model_dump(mode="json") for item in value]
    print(json.dumps(plain, indent=2, ensure_ascii=False))  # noqa: T201 - the command's output


def table(*columns: str) -> Table:
    """A table without frames; cells are text, whatever they hold, and fold rather than being cut."""
    made = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        made.add_column(column, overflow="fold", no_wrap=column in WHOLE)
    return made


def zone() -> str:
    """The local time zone's name now."""
    return f"{datetime.now().astimezone():%Z}"


def clock(time: datetime | None) -> str:
    """A time in the local zone, for a column headed by `zone()`: `21:40:00`, or `20 Nov 21:40` on another day."""
    if time is None:
        return ""
    there, now = time.astimezone(), datetime.now().astimezone()
    if there.date() == now.date():
        return f"{there:%H:%M:%S}"
    day = f"{there:%d %b %H:%M}" if there.year == now.year else f"{there:%d %b %Y %H:%M}"
    return day if there.utcoffset() == now.utcoffset() else f"{day} {there:%Z}"


def zoned(time: datetime) -> str:
    """A time in a sentence: `21:40:00 CET`."""
    text, name = clock(time), f"{time.astimezone():%Z}"
    return text if text.endswith(name) else f"{text} {name}"


def span(length: timedelta) -> str:
    """How long, in two units at the most: `8 min 17 s`."""
    seconds = round(max(length.total_seconds(), 0))
    units = [("d", seconds // 86400), ("h", seconds // 3600 % 24), ("min", seconds // 60 % 60), ("s", seconds % 60)]
    first = next((i for i, (_, count) in enumerate(units) if count), 3)
    return " ".join(f"{count} {unit}" for unit, count in units[first : first + 2] if count) or "0 s"


def issues(keys: Iterable[Issue], most: int = 12) -> str:
    """Issues in a line, the first ones if they are many."""
    names = [str(key) for key in keys]
    return " ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def shell(command: Iterable[str]) -> str:
    """A command as one would type it."""
    return shlex.join(command)


def coloured(state: str) -> Text:
    """A state or an outcome, in its colour."""
    return Text(state.replace("_", " "), style=COLOURS.get(state, ""))
