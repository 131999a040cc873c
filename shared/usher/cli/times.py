"""Times as people type them: a date, a time of today, both, or how long ago. Without a zone, they are local."""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import typer

from usher.core.errors import BadCommand
from usher.core.moments import upcoming
from usher.settings.units import duration

_FORMS = 'write it like 2026-11-22, 14:00, "2026-11-22 14:00", or 3d for three days ago'


def since_option(word: str) -> datetime:
    """Parse the time at which a period begins. A date means the start of that day. Raises BadParameter."""
    return _parse(word, timedelta())


def until_option(word: str) -> datetime:
    """Parse the time at which a period ends. A date means the end of that day. Raises BadParameter."""
    return _parse(word, timedelta(days=1))


def hold_until(word: str, zone: str | None) -> datetime:
    """Parse the time at which a hold ends, in that zone (default: this machine's). Raises BadCommand."""
    try:
        where = ZoneInfo(zone) if zone else None
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise BadCommand(why=f"{ascii(zone)[:60]} is not a time zone; write it like Europe/Berlin") from None
    try:
        return upcoming(word, datetime.now(UTC), where)
    except (ValueError, OverflowError):
        forms = '17:00, "Fri 09:00", "tomorrow 09:00" or "2026-11-27 09:00"'
        raise BadCommand(why=f"{ascii(word)[:80]} is not a time in the future; write it like {forms}") from None


def _parse(word: str, day: timedelta) -> datetime:
    text, now = word.strip(), datetime.now()
    try:
        if text[-1:].isalpha() and ":" not in text:
            return (now - duration(text)).astimezone()
        if ":" not in text:
            return (datetime.combine(date.fromisoformat(text), time()) + day).astimezone()
        if "-" not in text[:8]:
            return datetime.combine(now, time.fromisoformat(text)).astimezone()
        return datetime.fromisoformat(text).astimezone()
    except (ValueError, OverflowError):
        raise typer.BadParameter(f"{ascii(word)[:80]} is not a time; {_FORMS}") from None
