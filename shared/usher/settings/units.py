"""Units of settings: durations, and fractions of a duration."""

import re
from datetime import timedelta
from typing import Annotated

from pydantic import BeforeValidator

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_WHOLE = re.compile(r"(?:\d+(?:\.\d+)?(?:ms|s|m|h|d))+")
LONGEST = timedelta(days=3650)


def duration(value: object) -> timedelta:
    """Parse a duration: `"10s"`, `"40m"`, `"1h30m"`, `"250ms"`. Raises ValueError."""
    if isinstance(value, timedelta):
        return value
    text = value.strip().replace(" ", "") if isinstance(value, str) else ""
    if not _WHOLE.fullmatch(text):
        raise ValueError('a duration is a number and a unit: "10s", "40m", "1h30m"')
    span = timedelta(seconds=sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(text)))
    if span > LONGEST:
        raise ValueError("a duration must be at most ten years")
    return span


def share_or_duration(value: object) -> float | timedelta:
    """Parse `0.1` (a fraction of the typical deploy time) or `"2m"`. Raises ValueError."""
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            return duration(value)
    if isinstance(value, timedelta):
        return value
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 100:
        raise ValueError('must be a fraction of the typical deploy time (0.1) or a duration ("2m")')
    return float(value)


Duration = Annotated[timedelta, BeforeValidator(duration)]
Share = Annotated[float | timedelta, BeforeValidator(share_or_duration)]
