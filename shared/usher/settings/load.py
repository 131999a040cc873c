"""Loading the settings: `usher.toml`, then the environment. Every mistake is reported in a sentence."""

import copy
import json
import os
import tomllib
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from usher.core.errors import SettingsError
from usher.settings import fields
from usher.settings.faults import Origin
from usher.settings.model import Settings

CONFIG = "USHER_CONFIG"
DEPLOY = "USHER_DEPLOY"
"""The variable with a deploy's id. Only a deploy's command has it."""

FILE = "usher.toml"
EXAMPLE = "the built-in example"
BOM = "\ufeff"
"""A byte order mark. Some editors write one at the start of a file."""


def load(environ: Mapping[str, str] | None = None) -> Settings:
    """Load the settings: from the file that `USHER_CONFIG` names, else `./usher.toml`, else the built-in example, which
    rehearses. Variables `USHER_<SECTION>__<KEY>` override them.

    Raises SettingsError, whose text says what is wrong, where, and what to write instead.
    """
    environ = os.environ if environ is None else environ
    source, text = _read(environ)
    written = _table(text, source)
    origin = Origin(source, written, fields.variables(environ))
    if unknown := "\n".join(origin.unknown()):
        raise SettingsError(why=unknown)
    table = copy.deepcopy(written)
    for path, name in origin.variables.items():
        _put(table, path, _value(path, environ[name], name), name)
    return _checked(table, origin)


def parse(text: str, source: str) -> Settings:
    """Parse the text of a settings file. `source` is its name, for error messages. Raises SettingsError."""
    table = _table(text, source)
    return _checked(table, Origin(source, table, {}))


def passed_on(settings: Settings, environ: Mapping[str, str]) -> dict[str, str]:
    """The variables with which another program loads the same settings, in any directory.

    `environ` is the environment from which the settings were loaded. Secrets in it are left out.
    """
    named = {path: name for path, name in fields.variables(environ).items() if not fields.is_secret(path)}
    return {CONFIG: str(_path(settings.source).absolute()), **{name: environ[name] for name in named.values()}}


def example() -> str:
    """The text of the commented example."""
    return _path(EXAMPLE).read_text("utf-8")


def _path(source: str) -> Path:
    """The path of the settings file `source`, or of the built-in example."""
    return Path(str(resources.files("usher").joinpath("example.toml"))) if source == EXAMPLE else Path(source)


def _read(environ: Mapping[str, str]) -> tuple[str, str]:
    """The name and the text of the settings file."""
    named = environ.get(CONFIG)
    if named is None and not Path(FILE).exists():
        if DEPLOY in environ:
            raise SettingsError(
                why=f"this is a deploy, but {CONFIG} is missing; keep the variables that Usher sets for the command"
            )
        return EXAMPLE, example()
    path = Path(named or FILE)
    try:
        return str(path), path.read_text("utf-8").removeprefix(BOM)
    except FileNotFoundError:
        raise SettingsError(why=f"{path} does not exist; `usher init` writes one, or unset {CONFIG}") from None
    except UnicodeDecodeError as error:
        raise SettingsError(
            why=f"{path} is not UTF-8 ({error.reason} at byte {error.start}); save it as UTF-8"
        ) from None
    except OSError as error:
        raise SettingsError(why=f"cannot read {path}: {error.strerror}") from None


def _table(text: str, source: str) -> dict[str, Any]:
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(why=f"{source} is not TOML: {error}") from None
    if "source" in table:
        raise SettingsError(why=f"{source}: unknown key source; remove it")
    return table


def _checked(table: dict[str, Any], origin: Origin) -> Settings:
    try:
        return Settings.model_validate({**table, "source": origin.source})
    except ValidationError as invalid:
        raise SettingsError(why="\n".join(origin.sentences(invalid))) from None


def _put(table: dict[str, Any], path: fields.Path, value: object, name: str) -> None:
    for part in path[:-1]:
        table = table.setdefault(part, {})
        if not isinstance(table, dict):
            raise SettingsError(why=f"{name}: {part} is not a section")
    table[path[-1]] = value


def _value(path: fields.Path, text: str, name: str) -> object:
    """The value of a variable. Only a setting that is a list can be written as JSON."""
    text = text.removeprefix(BOM)
    if not (fields.is_list(path) and text.lstrip().startswith("[")):
        return text
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise SettingsError(why=f'{name} is not a JSON list: {error}; write it like \'["a", "b"]\'') from None
