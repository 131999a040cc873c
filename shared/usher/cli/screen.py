"""The commands' output: tables and sentences in local time for people, JSON in UTC for programs."""

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
"""Columns that are never wrapped, because people search for their cells or copy them."""


def console(*, stderr: bool = False) -> Console:
    """The console for people: coloured only on a terminal; in a file or a pipe, so wide that lines need not wrap."""
    found = Console(stderr=stderr, highlight=False, markup=False)
    return found if found.is_terminal else Console(stderr=stderr, highlight=False, markup=False, width=PIPED_WIDTH)


def print_json(value: BaseModel | Sequence[BaseModel] | dict[str, Any]) -> None:
    """Print only JSON, the same on a terminal and in a pipe."""
    if isinstance(value, BaseModel):
        plain: Any = value.model_dump(mode="json")
    elif isinstance(value, dict):
        plain = value
    else:
        plain = [item.model_dump(mode="json") for item in value]
    print(json.dumps(plain, indent=2, ensure_ascii=False))  # noqa: T201 - the command's output


def table(*columns: str) -> Table:
    """A table without borders. Cells are plain text, and wrap instead of being truncated."""
    grid = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        grid.add_column(column, overflow="fold", no_wrap=column in WHOLE)
    return grid


def zone() -> str:
    """The current name of the local time zone."""
    return f"{datetime.now().astimezone():%Z}"


def clock(time: datetime | None) -> str:
    """A local time, for a column whose header has `zone()`: `21:40:00`, or `20 Nov 21:40` on another day."""
    if time is None:
        return ""
    local, now = time.astimezone(), datetime.now().astimezone()
    if local.date() == now.date():
        return f"{local:%H:%M:%S}"
    day = f"{local:%d %b %H:%M}" if local.year == now.year else f"{local:%d %b %Y %H:%M}"
    return day if local.utcoffset() == now.utcoffset() else f"{day} {local:%Z}"


def zoned(time: datetime) -> str:
    """A time for use in a sentence: `21:40:00 CET`."""
    text, name = clock(time), f"{time.astimezone():%Z}"
    return text if text.endswith(name) else f"{text} {name}"


def span(length: timedelta) -> str:
    """A duration in at most two units: `8 min 17 s`."""
    seconds = round(max(length.total_seconds(), 0))
    units = [("d", seconds // 86400), ("h", seconds // 3600 % 24), ("min", seconds // 60 % 60), ("s", seconds % 60)]
    first = next((i for i, (_, count) in enumerate(units) if count), 3)
    return " ".join(f"{count} {unit}" for unit, count in units[first : first + 2] if count) or "0 s"


def issues(keys: Iterable[Issue], limit: int = 12) -> str:
    """Issues on one line, at most `limit` of them by name."""
    names = [str(key) for key in keys]
    return " ".join(names[:limit]) + (f" and {len(names) - limit} more" if len(names) > limit else "")


def shell(command: Iterable[str]) -> str:
    """A command as typed in a shell."""
    return shlex.join(command)


def coloured(state: str) -> Text:
    """A state or an outcome, coloured."""
    return Text(state.replace("_", " "), style=COLOURS.get(state, ""))
