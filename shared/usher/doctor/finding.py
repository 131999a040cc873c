"""The results of the doctor's checks."""

from enum import StrEnum
from typing import NamedTuple


class Verdict(StrEnum):
    """The result of a check. `warning`: it works, but needs attention. `unknown`: it could not be checked from here."""

    OK = "ok"
    FAULT = "fault"
    WARNING = "warning"
    UNKNOWN = "unknown"


class Finding(NamedTuple):
    """The result of one check: its subject, what was found, and what to do if that is not ok."""

    about: str
    verdict: Verdict
    says: str
    do: str | None = None


def ok(about: str, says: str) -> Finding:
    """The check passed."""
    return Finding(about, Verdict.OK, says)


def fault(about: str, says: str, do: str) -> Finding:
    """The check failed, and somebody has to act."""
    return Finding(about, Verdict.FAULT, says, do)


def warning(about: str, says: str, do: str) -> Finding:
    """The check passed, but somebody should look at this."""
    return Finding(about, Verdict.WARNING, says, do)


def unknown(about: str, says: str, do: str) -> Finding:
    """The check was not possible."""
    return Finding(about, Verdict.UNKNOWN, says, do)
