"""Reading untrusted JSON: once it is parsed, no access raises, whatever its shape."""

import json
import re
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from urllib.parse import urlsplit

import orjson

from usher.core.errors import UsherError

MAX_MILLIS = 2**53
MAX_WORD_LENGTH = 255

_DIGITS = re.compile(r"[0-9]{1,16}", re.ASCII)


class Unparsable(UsherError):
    """the body is not JSON: {why}"""


def load(body: bytes) -> object:
    """Parse JSON. Raises Unparsable."""
    if not body.strip():
        raise Unparsable(why="it is empty")
    try:
        return _values(body)
    except RecursionError:
        raise Unparsable(why="it is nested too deeply") from None
    except UnicodeDecodeError:
        raise Unparsable(why="it is not UTF-8") from None
    except ValueError as error:
        raise Unparsable(why=str(error)) from None


def under(value: object, *keys: str) -> object:
    """The value at this path of keys; None if a value on the way is not an object."""
    for key in keys:
        if not isinstance(value, dict):
            return None
        value = value.get(key)
    return value


def objects(value: object) -> Iterator[dict[str, object]]:
    """The objects in a list; none if the value is not a list."""
    return (item for item in value if isinstance(item, dict)) if isinstance(value, list) else iter(())


def word(value: object) -> str | None:
    """A name or an id, from a string (trimmed) or an integer; None if it is empty, too long, or anything else."""
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if isinstance(value, str) and len(value) <= MAX_WORD_LENGTH:
        return value.strip() or None
    return None


def millis(value: object) -> int | None:
    """A time in ms since 1970, from a number, a string of digits, or ISO 8601 (UTC if it has no zone); else None."""
    if isinstance(value, str):
        value = int(value) if _DIGITS.fullmatch(value) else _iso(value)
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= MAX_MILLIS:
        return int(value)
    return None


def site(value: object) -> str:
    """The host, and the port if any, of a URL, in lower case; empty if there is none."""
    if not isinstance(value, str) or len(value) > 2048:
        return ""
    try:
        return urlsplit(value).netloc.rpartition("@")[2].lower()
    except ValueError:
        return ""


def plain(value: str) -> str:
    """An untrusted word for logs and answers: shortened, and printable everywhere."""
    short = value if len(value) <= 60 else value[:57] + "..."
    return short if short.isprintable() else ascii(short)[1:-1][:80]


def shown(value: str) -> str:
    """The same in quotes."""
    return f'"{plain(value)}"'


def _values(body: bytes) -> object:
    with suppress(orjson.JSONDecodeError):  # faster than Python's, but refuses some bodies that it accepts
        return orjson.loads(body)
    try:
        value: object = json.loads(body)
    except (json.JSONDecodeError, UnicodeDecodeError):
        raise
    except ValueError:
        # Python refuses numbers with more than 4,300 digits, but the rest of such a body may be valid
        value = json.loads(body, parse_int=lambda digits: int(digits) if len(digits) <= 20 else digits)
    return value


def _iso(text: str) -> float | None:
    if len(text) > 64:
        return None
    try:
        time = datetime.fromisoformat(text.strip())
        return (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp() * 1000
    except (ValueError, OverflowError, OSError):
        return None
