"""Journal versions: which version a reader needs to act on an entry.

Every entry of the journal, every checkpoint and every result can have a header `needs`, the version that its reader
needs. Without the header it is 1. A known kind of event never gets a new meaning. A new meaning is a new kind, which
needs a higher version. It is written only when somebody uses the new feature, so an upgrade alone changes nothing.
"""

from collections.abc import Mapping
from typing import ClassVar, Literal, TypeVar

from pydantic import AliasChoices, AliasGenerator, BaseModel, ConfigDict, TypeAdapter, ValidationError

from usher.core.errors import BrokerError, Unreadable

T = TypeVar("T")

NEEDS = "needs"
"""The name of the header."""

VERSION = 3
"""The version that this code understands."""


FORMER_NAMES = {
    "delivery_count": ("returns",),
    "first_queued_at": ("told_at",),
    "received": ("told",),
    "truncated": ("cut",),
    "wait_left": ("owes", "owed"),
}
"""The names that versions before 0.11 wrote for some fields. They are still read."""


def _names(field: str) -> str | AliasChoices:
    return AliasChoices(field, *FORMER_NAMES[field]) if field in FORMER_NAMES else field


STORED = ConfigDict(extra="ignore", populate_by_name=True, alias_generator=AliasGenerator(validation_alias=_names))
"""The configuration of everything that is stored: unknown fields of later versions are ignored."""


class NotUnderstood(BrokerError):
    """{what} needs a newer Usher (journal version {needs}; this one understands {version}); upgrade this process"""


class Versioned(BaseModel):
    """An event or order. It is immutable, and unknown fields of later versions are ignored.

    `needs` is the version that a reader of this kind must have.
    """

    model_config = ConfigDict(frozen=True, **STORED)

    needs: ClassVar[int] = 1

    v: Literal[1] = 1


def needs_of(headers: Mapping[str, object]) -> int:
    """The version that the reader of a message with these headers needs. A value that is not a number means a version
    that no reader has."""
    needs = headers.get(NEEDS, 1)
    return needs if isinstance(needs, int) and not isinstance(needs, bool) else 2**31


def understands(needs: int) -> bool:
    """Whether this process may act on an entry that needs a version."""
    return needs <= VERSION


def check(headers: Mapping[str, object], what: str) -> None:
    """Raise NotUnderstood if the reader of a message with these headers needs a newer version."""
    needs = needs_of(headers)
    if not understands(needs):
        raise NotUnderstood(what=what, needs=needs, version=VERSION)


def decoded(kinds: TypeAdapter[T], body: bytes) -> T:
    """Decode JSON. Raises Unreadable if the body is anything else."""
    try:
        return kinds.validate_json(body)
    except ValidationError as invalid:
        error = invalid.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in error["loc"])
        raise Unreadable(why=f"{where}: {error['msg']}" if where else error["msg"]) from None
