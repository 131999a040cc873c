"""Loading the settings: `usher.toml`, then the environment. Every mistake is reported in a sentence."""

import difflib
import json
import os
import tomllib
from collections.abc import Iterator, Mapping
from importlib import resources
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from usher.core.errors import SettingsError
from usher.settings.model import Settings

PREFIX = "USHER_"
CONFIG = "USHER_CONFIG"
FILE = "usher.toml"
EXAMPLE = "the built-in example"


def load(environ: Mapping[str, str] | None = None) -> Settings:
    """Load the settings: from the file that `USHER_CONFIG` names, else `./usher.toml`, else the built-in example, which
    rehearses. Variables `USHER_<SECTION>__<KEY>` override them.

    Raises SettingsError, whose text says what is wrong, where, and what to write instead.
    """
    environ = os.environ if environ is None else environ
    source, text = _read(environ.get(CONFIG))
    table = _table(text, source)
    names = {}
    for name, value in sorted(environ.items()):
        if name.startswith(PREFIX) and "__" in name:
            path = tuple(part.lower() for part in name.removeprefix(PREFIX).split("__"))
            names[path] = name
            _put(table, path, _value(path, value, name), name)
    return _checked(table, source, names)


def parse(text: str, source: str) -> Settings:
    """Parse the text of a settings file. `source` is its name, for error messages. Raises SettingsError."""
    return _checked(_table(text, source), source, {})


def example() -> str:
    """The text of the commented example."""
    return resources.files("usher").joinpath("example.toml").read_text("utf-8")


def _read(named: str | None) -> tuple[str, str]:
    """The name and the text of the settings file."""
    if named is None and not Path(FILE).exists():
        return EXAMPLE, example()
    path = Path(named or FILE)
    try:
        return str(path), path.read_text("utf-8")
    except FileNotFoundError:
        raise SettingsError(why=f"{path} does not exist; `usher init` writes one, or unset {CONFIG}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(why=f"cannot read {path}: {error}") from None


def _table(text: str, source: str) -> dict[str, Any]:
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(why=f"{source} is not TOML: {error}") from None
    if "source" in table:
        raise SettingsError(why=f"{source}: unknown key source; remove it")
    return table


def _checked(table: dict[str, Any], source: str, names: Mapping[tuple[str, ...], str]) -> Settings:
    try:
        return Settings.model_validate({**table, "source": source})
    except ValidationError as invalid:
        raise SettingsError(why="\n".join(_sentences(invalid, source, names))) from None


def _put(table: dict[str, Any], path: tuple[str, ...], value: object, name: str) -> None:
    for part in path[:-1]:
        table = table.setdefault(part, {})
        if not isinstance(table, dict):
            raise SettingsError(why=f"{name}: {part} is not a section")
    table[path[-1]] = value


def _value(path: tuple[str, ...], text: str, name: str) -> object:
    """The value of a variable: a list is JSON, anything else is a plain string."""
    if not text.lstrip().startswith("["):
        return text
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise SettingsError(why=f'{name} is not a JSON list: {error}; write it like \'["a", "b"]\'') from None


def _sentences(invalid: ValidationError, source: str, names: Mapping[tuple[str, ...], str]) -> Iterator[str]:
    for error in invalid.errors(include_url=False):
        loc = tuple(str(part) for part in error["loc"] if part != "[key]")
        name = next((name for path, name in names.items() if path == loc[: len(path)]), None)
        if error["type"] == "extra_forbidden":
            yield f"{name or f'{source}: {_dotted(loc)}'}: unknown{_nearest(loc, variable=name is not None)}"
        else:
            where = name or (f"{source}: {_dotted(loc)}" if loc else source)
            yield f"{where}: {_plain(error)}"


_PLAIN = {
    "missing": "no project is named; add a section like [projects.abc]",
    "tuple_type": 'should be a list, like ["a", "b"]',
    "model_type": "should be a section, not a value",
    "too_short": "must not be empty",
    "string_pattern_mismatch": "does not match {pattern}",
}


def _plain(error: ErrorDetails) -> str:
    if error["type"] in _PLAIN:
        return _PLAIN[error["type"]].format(**error.get("ctx", {}))
    text = error["msg"].removeprefix("Value error, ")
    return text[:1].lower() + text[1:]


def _dotted(loc: tuple[str, ...]) -> str:
    return f"[{'.'.join(loc[:-1])}] {loc[-1]}" if len(loc) > 1 else f"[{loc[0]}]"


RENAMED = {("deploys", "most"): "max_issues"}
"""Keys of earlier versions, and their names today."""


def _nearest(loc: tuple[str, ...], *, variable: bool) -> str:
    known = _known(Settings, loc[:-1])
    near = [RENAMED[loc]] if loc in RENAMED else difflib.get_close_matches(loc[-1], known, n=1, cutoff=0.0)
    if not near:
        return ""
    word = PREFIX + "__".join((*loc[:-1], near[0])).upper() if variable else near[0]
    return f"; did you mean {word}? Known here: {', '.join(known)}"


def _known(model: type[BaseModel], path: tuple[str, ...]) -> list[str]:
    """The keys that are allowed at a path."""
    if not path:
        return [key for key in model.model_fields if key != "source"]
    kind: Any = model.model_fields[path[0]].annotation
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return _known(kind, path[1:])
    return _known(get_args(kind)[1], path[2:])
