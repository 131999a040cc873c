"""The settings by path and by variable: `("deploys", "parallel")` is `USHER_DEPLOYS__PARALLEL`; lists and secrets."""

from collections.abc import Iterator, Mapping
from typing import Any, get_args, get_origin

from pydantic import BaseModel, SecretStr

from usher.settings.model import Settings

Path = tuple[str, ...]
"""The keys that lead to a section or a setting: `("deploys", "command")`."""

PREFIX = "USHER_"


def variable(path: Path) -> str:
    """The name of the variable for a setting: `USHER_DEPLOYS__PARALLEL`."""
    return PREFIX + "__".join(path).upper()


def variables(environ: Mapping[str, str]) -> dict[Path, str]:
    """The names of the variables that override settings, by the path of each setting."""
    return {
        tuple(part.lower() for part in name.removeprefix(PREFIX).split("__")): name
        for name in sorted(environ)
        if name.startswith(PREFIX) and "__" in name
    }


def keys(path: Path) -> list[str]:
    """The keys of the section at a path. None if there is no section, or if its keys are free."""
    kind = _kind(path)
    return [key for key in kind.model_fields if (*path, key) != ("source",)] if _is_section(kind) else []


def exists(path: Path) -> bool:
    """Whether there is a setting or a section at a path."""
    return _kind(path) is not None


def is_list(path: Path) -> bool:
    """Whether the setting at a path is a list."""
    return any(get_origin(kind) is tuple for kind in _parts(_kind(path)))


def is_secret(path: Path) -> bool:
    """Whether the setting at a path is a secret, or an address that may contain one."""
    return any(kind is SecretStr for kind in _parts(_kind(path)))


def _kind(path: Path) -> Any:
    """The type of the setting or section at a path; None if there is none."""
    kind: Any = Settings
    for depth, key in enumerate(path):
        if get_origin(kind) is dict:
            kind = get_args(kind)[1]
        elif _is_section(kind) and key in keys(path[:depth]):
            kind = kind.model_fields[key].annotation
        else:
            return None
    return kind


def _is_section(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def _parts(kind: Any) -> Iterator[Any]:
    """The type, and every type that it is made of."""
    yield kind
    for part in get_args(kind):
        yield from _parts(part)
