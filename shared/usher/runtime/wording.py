"""Phrases for people: counts, durations, process names; and text from outside, made harmless."""

import re
import unicodedata
from collections.abc import Callable
from datetime import timedelta

_SEQUENCE = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"  # CSI: the cursor, colours, modes
    r"|(?:\x1b[\]PX^_]|[\x90\x98\x9d-\x9f])[^\x07\x1b\x90\x98\x9b-\x9f\n]*(?:\x07|\x1b\\|\x9c)"  # titles, links
    r"|\x1b(?:[ -/]{0,2}[0-~])?"  # anything else, and the start of a sequence that does not end
)
_UNUSUAL = re.compile(r"[^\n\t -~]")
_UNSAFE = ("Cc", "Cf", "Cs", "Zl", "Zp")
"""Categories of characters that a terminal executes, that reorder a line, that break it, or that nobody sees."""

_JOINERS = "\u200c\u200d"
"""Characters that are part of words and emoji."""


def count(number: int, noun: str) -> str:
    """`1 issue`, `2 issues`."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def process(name: str) -> str:
    """Write a service's name `deploys@host:4711` as `deploys on host (process 4711)`. Other names are kept."""
    service, _, where = name.partition("@")
    host, _, number = where.rpartition(":")
    return f"{service} on {host} (process {number})" if host and number else name


def span(length: timedelta) -> str:
    """A duration in at most two units: `8 min 17 s`."""
    seconds = round(max(length.total_seconds(), 0))
    units = [("d", seconds // 86400), ("h", seconds // 3600 % 24), ("min", seconds // 60 % 60), ("s", seconds % 60)]
    first = next((i for i, (_, count) in enumerate(units) if count), 3)
    return " ".join(f"{count} {unit}" for unit, count in units[first : first + 2] if count) or "0 s"


def harmless(text: str) -> str:
    """Text without anything that a terminal would execute: no escape sequence, and no other control character.

    Line breaks and tabs are kept. What cannot be shown becomes a replacement character.
    """
    return defused(_SEQUENCE.sub("", text.replace("\r\n", "\n")), lambda _: "\ufffd")


def defused(text: str, instead: Callable[[str], str]) -> str:
    """Text with `instead(c)` for each character that is not simply shown, other than line breaks and tabs."""
    return _UNUSUAL.sub(lambda found: instead(found[0]) if _is_unsafe(found[0]) else found[0], text)


def _is_unsafe(character: str) -> bool:
    return character not in _JOINERS and unicodedata.category(character) in _UNSAFE
