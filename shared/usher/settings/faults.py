"""Mistakes in the settings, each as a sentence that says where it is and what to write instead."""

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from usher.settings import fields
from usher.settings.fields import Path, variable

RENAMED = {("deploys", "most"): "max_issues"}
"""Keys of earlier versions, and their names today."""

_PLAIN = {
    "missing": "no project is named; add a section like [projects.abc]",
    "tuple_type": 'should be a list, like ["a", "b"]',
    "model_type": "should be a section, not a value",
    "dict_type": "should be a section, not a value",
    "too_short": "must not be empty",
    "string_pattern_mismatch": "does not match {pattern}",
}


@dataclass(frozen=True, slots=True)
class Origin:
    """Where the settings come from: a file (its name and its content), and variables (the path of each name)."""

    source: str
    written: dict[str, Any]
    variables: Mapping[Path, str]

    def sentences(self, invalid: ValidationError) -> Iterator[str]:
        """Every mistake that a validation found."""
        for error in invalid.errors(include_url=False):
            loc = tuple(str(part) for part in error["loc"] if part != "[key]")
            if error["type"] == "extra_forbidden":
                yield f"{self.source}: {_dotted(loc)}: unknown{_nearest(loc)}"
            else:
                yield f"{self._where(loc)}: {_plain(error)}"

    def unknown(self) -> Iterator[str]:
        """Every variable that names no setting."""
        for path, name in self.variables.items():
            if not fields.exists(path):
                yield f"{name}: unknown{_nearest_variable(path)}"

    def _where(self, loc: Path) -> str:
        """The variable, or the place in the file, that a mistake at a path comes from."""
        if not loc:
            # a rule about several settings: they may come from either
            return f"{self.source} and the environment" if self.variables else self.source
        for path, name in self.variables.items():
            if path == loc[: len(path)] or (path[: len(loc)] == loc and not self._is_written(loc)):
                return name
        return f"{self.source}: {_dotted(loc)}"

    def _is_written(self, loc: Path) -> bool:
        """Whether the file has something at a path."""
        table: Any = self.written
        for key in loc:
            if not isinstance(table, dict) or key not in table:
                return False
            table = table[key]
        return True


def _plain(error: ErrorDetails) -> str:
    if error["type"] in _PLAIN:
        return _PLAIN[error["type"]].format(**error.get("ctx", {}))
    text = error["msg"].removeprefix("Value error, ")
    return text[:1].lower() + text[1:]


def _dotted(loc: Path) -> str:
    return f"[{'.'.join(loc[:-1])}] {loc[-1]}" if len(loc) > 1 else f"[{loc[0]}]"


def _nearest(loc: Path) -> str:
    near = _near(loc)
    return f"; did you mean {near}? Known here: {', '.join(fields.keys(loc[:-1]))}" if near else ""


def _nearest_variable(path: Path) -> str:
    """The variable that a misspelt one probably means, and what is known where the first mistake is."""
    meant: Path = ()
    known: list[str] = []
    for key in path:
        wanted = (*meant, key)
        near = key if fields.exists(wanted) else _near(wanted)
        if near != key:
            known = known or fields.keys(meant)
        if near is None:
            break
        meant = (*meant, near)
    return f"; did you mean {variable(meant)}?" + (f" Known here: {', '.join(known)}" if known else "")


def _near(loc: Path) -> str | None:
    """The key that a misspelt one probably means."""
    found = [RENAMED[loc]] if loc in RENAMED else difflib.get_close_matches(loc[-1], fields.keys(loc[:-1]), 1, 0.0)
    return next(iter(found), None)
