"""Times as people write them, as instants: `Fri 09:00`, in a time zone whose clocks change twice a year.

A time that the clocks skip in spring means the moment of the change. Of a time that comes twice in autumn, the second
is meant: what ends then lasts longer, never shorter.
"""

import re
from datetime import UTC, date, datetime, time, timedelta, tzinfo

DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")

_WRITTEN = re.compile(r"(?:(?P<day>[a-z]{3,9}|\d{4}-\d\d-\d\d)[ t]+)?(?P<time>\d{1,2}:\d\d(?::\d\d)?)", re.ASCII)


def upcoming(text: str, now: datetime, zone: tzinfo | None = None) -> datetime:
    """The next moment after `now` that a text means in a zone (default: this machine's), in UTC.

    The text is `09:00`, `Fri 09:00`, `tomorrow 09:00`, `2026-11-27 09:00`, or a time with its offset from UTC. Raises
    ValueError if it is none of these, or has passed.
    """
    found = _WRITTEN.fullmatch(text.strip().casefold())
    if found is None:
        moment = datetime.fromisoformat(text.strip())
        if moment.tzinfo is None:
            raise ValueError(text)
        return _after(moment.astimezone(UTC), now)
    hour, day, today = time.fromisoformat(found["time"].zfill(5)), found["day"], now.astimezone(zone).date()
    if day is None or day in ("today", "tomorrow"):
        days = [today + timedelta(days=int(day == "tomorrow"))] + [today + timedelta(days=1)] * (day is None)
    elif day[0].isdigit():
        days = [date.fromisoformat(day)]
    else:
        (weekday,) = (n for n, name in enumerate(DAYS) if name.startswith(day))
        ahead = (weekday - today.weekday()) % 7
        days = [today + timedelta(days=ahead), today + timedelta(days=ahead + 7)]
    moments = [instant(datetime.combine(day, hour), zone) for day in days]
    return _after(next((moment for moment in moments if moment > now), moments[0]), now)


def instant(wall: datetime, zone: tzinfo | None = None) -> datetime:
    """The moment (UTC) at which clocks in a zone (default: this machine's) show a time without a zone."""
    first, second = (wall.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1))
    if first <= second:
        return second
    # the clocks skip this time: they change between the two
    before, after = second, first
    offset = before.astimezone(zone).utcoffset()
    while after - before > timedelta(seconds=1):
        middle = (before + (after - before) / 2).replace(microsecond=0)
        before, after = (middle, after) if middle.astimezone(zone).utcoffset() == offset else (before, middle)
    return after


def _after(moment: datetime, now: datetime) -> datetime:
    if moment <= now:
        raise ValueError(f"{moment} has passed")
    return moment
