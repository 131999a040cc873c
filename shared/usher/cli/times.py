"""Times as people type them: a date, a time of today, both, or how long ago. Without a zone, they are local."""

from datetime import date, datetime, time, timedelta

import typer

from usher.settings.units import duration

_FORMS = 'write it like 2026-11-22, 14:00, "2026-11-22 14:00", or 3d for three days ago'


def since_option(word: str) -> datetime:
    """Parse the time at which a period begins. A date means the start of that day. Raises BadParameter."""
    return _parse(word, timedelta())


def until_option(word: str) -> datetime:
    """Parse the time at which a period ends. A date means the end of that day. Raises BadParameter."""
    return _parse(word, timedelta(days=1))


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
