"""The commands' output: tables and sentences in local time for people, JSON in UTC for programs.

Everything that a command prints goes through here, so that text from outside is shown and never executed: a status in
Jira, the output of a deploy and the answer of a service may contain anything.
"""

import json
import shlex
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from pydantic_core import to_jsonable_python
from rich.console import Console
from rich.text import Text

from usher.core.issues import Issue
from usher.runtime.wording import defused, harmless

COLOURS = {
    "idle": "dim",
    "waiting": "yellow",
    "held": "magenta",
    "deploying": "cyan",
    "failed": "red",
    "failing": "red",
    "overdue": "red",
    "stuck": "red",
    "recovering": "yellow",
    "parked": "red",
    "retrying": "yellow",
    "retried": "dim",
    "superseded": "dim",
    "withdrawn": "dim",
    "dropped": "dim",
    "deployed": "green",
    "passed": "green",
    "timed_out": "red",
    "interrupted": "yellow",
}
PIPED_WIDTH = 200


class _Console(Console):
    """A console that shows strings as they are, also in tables: no markup, no emoji codes, and nothing is executed."""

    def __init__(self, *, stderr: bool, width: int | None = None) -> None:
        super().__init__(stderr=stderr, width=width, highlight=False, markup=False, emoji=False)

    def render_str(self, text: str, **options: Any) -> Text:
        return super().render_str(harmless(text), **options)


def console(*, stderr: bool = False) -> Console:
    """The console for people: coloured only on a terminal; in a file or a pipe, so wide that lines need not wrap."""
    found = _Console(stderr=stderr)
    return found if found.is_terminal else _Console(stderr=stderr, width=PIPED_WIDTH)


def print_json(value: object) -> None:
    """Print only JSON, the same on a terminal and in a pipe. What a terminal would execute is escaped."""
    text = json.dumps(to_jsonable_python(value), indent=2, ensure_ascii=False)
    print(defused(text, lambda c: json.dumps(c)[1:-1]))  # noqa: T201 - the command's output


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


def issues(keys: Iterable[Issue], limit: int = 12) -> str:
    """Issues on one line, at most `limit` of them by name."""
    names = [str(key) for key in keys]
    return " ".join(names[:limit]) + (f" and {len(names) - limit} more" if len(names) > limit else "")


def shell(command: Iterable[str]) -> str:
    """A command as typed in a shell."""
    return shlex.join(command)


def coloured(state: str) -> Text:
    """A state or an outcome, coloured."""
    return Text(harmless(state.replace("_", " ")), style=COLOURS.get(state, ""))
