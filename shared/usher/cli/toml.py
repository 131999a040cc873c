"""Values and keys as `usher.toml` writes them."""

from collections.abc import Sequence

import tomlkit


def value(of: str | Sequence[str]) -> str:
    """A string or a list of strings, on one line."""
    return tomlkit.item(of if isinstance(of, str) else list(of)).as_string()


def key(word: str) -> str:
    """A key, quoted if necessary."""
    return tomlkit.key(word).as_string()
