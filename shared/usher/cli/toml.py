"""Format values for `usher.toml`."""

import json
import re
from collections.abc import Iterable


def string(text: str) -> str:
    """A basic string. JSON's escapes are also valid in TOML."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def array(words: Iterable[str]) -> str:
    """A list of strings, on one line."""
    return "[" + ", ".join(map(string, words)) + "]"


def key(word: str) -> str:
    """A key, quoted if necessary."""
    return word if re.fullmatch(r"[A-Za-z0-9_-]+", word, re.ASCII) else string(word)
