"""Reading JSON from strangers: whatever stands where, looking at it never raises."""

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from urllib.parse import urlsplit

from usher.core.errors import UsherError

LATEST = 2**53
LONGEST_WORD = 255

_DIGITS = re.compile(r"[0-9]{1,16}", re.ASCII)


class Unparsable(UsherError):
    """the body is not JSON: {why}"""


def load(body: bytes) -> object:
    """JSON to values; raises Unparsable."""
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
    """What stands under these keys, one inside the other; None when something on the way is no object."""
    for key in keys:
        if not isinstance(value, dict):
            return None
        value = value.get(key)
    return value


def objects(value: object) -> Iterator[dict[str, object]]:
    """The objects of a list; nothing when it is no list."""
    return (item for item in value if isinstance(item, dict)) if isinstance(value, list) else iter(())


def word(value: object) -> str | None:
    """A name or an id: text, trimmed, or a whole number; None for anything else, nothing, or too long a text."""
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if isinstance(value, str) and len(value) <= LONGEST_WORD:
        return value.strip() or None
    return None


def millis(value: object) -> int | None:
    """A time in ms since 1970 UTC, from such a number, its digits, or ISO 8601 (without a zone: UTC)."""
    if isinstance(value, str):
        value = int(value) if _DIGITS.fullmatch(value) else _iso(value)
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= LATEST:
        return int(value)
    return None


def site(value: object) -> str:
    """The host (and the port, if it is named) of an address, lower case; empty when there is none."""
    if not isinstance(value, str) or len(value) > 2048:
        return ""
    try:
        return urlsplit(value).netloc.rpartition("@")[2].lower()
    except ValueError:
        return ""


def plain(value: str) -> str:
    """A stranger's word for logs and answers: short, and printable in any of them."""
    short = value if len(value) <= 60 else value[:57] + "..."
    return short if short.isprintable() else ascii(short)[1:-1][:80]


def shown(value: str) -> str:
    """The same in quotes, for the middle of a sentence."""
    return f'"{plain(value)}"'


def _values(body: bytes) -> object:
    try:
        value: object = json.loads(body)
    except (json.JSONDecodeError, UnicodeDecodeError):
        raise
    except ValueError:
        # Python refuses to read a number of more than 4,300 digits, but the rest of such a body may be sound
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
