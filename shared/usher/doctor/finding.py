"""What the doctor found."""

from enum import StrEnum
from typing import NamedTuple


class Verdict(StrEnum):
    """`unknown`: it could not be looked at from here."""

    OK = "ok"
    FAULT = "fault"
    UNKNOWN = "unknown"


class Finding(NamedTuple):
    """One thing that was looked at: what it is, how it is, and what to do about it if that is not well."""

    about: str
    verdict: Verdict
    says: str
    do: str | None = None


def ok(about: str, says: str) -> Finding:
    """All is well."""
    return Finding(about, Verdict.OK, says)


def fault(about: str, says: str, do: str) -> Finding:
    """Something has to be done."""
    return Finding(about, Verdict.FAULT, says, do)


def unknown(about: str, says: str, do: str) -> Finding:
    """It could not be checked."""
    return Finding(about, Verdict.UNKNOWN, says, do)
