"""Parses `DELETE /messages`: turns the query into an order, which successes carries out."""

import secrets
from collections.abc import Iterable

from pydantic import TypeAdapter, ValidationError

from usher.core.errors import BadMessage
from usher.core.issues import Issue
from usher.core.messages import Millis
from usher.core.orders import MAX_BY, MAX_ISSUES, MAX_REASON, OrderId, WithdrawOrder
from usher.core.servers import Servers

_LONGEST_QUERY = 60 * 1024
"""In bytes. The HTTP parser refuses URLs of more than 64 KiB without such advice."""
_ONCE = ("server", "by", "reason", "id")
_EXAMPLE = "DELETE /messages?server=beta.abc.wwts.com&issue=ABC-111&issue=ABC-113"
_ID: TypeAdapter[OrderId] = TypeAdapter(OrderId)


def read_withdrawal(
    query: Iterable[tuple[str, str]], length: int, servers: Servers, address: str, now: Millis
) -> WithdrawOrder:
    """Parse a query of `length` bytes, which came from `address` at `now` (ms), into an order.

    Raises BadMessage or UnknownServer.
    """
    if length > _LONGEST_QUERY:
        raise BadMessage(why=f"a query is at most {_LONGEST_QUERY} bytes long; withdraw the issues in several orders")
    given = _given(query)
    issues = tuple(dict.fromkeys(map(Issue.parse, given["issue"])))
    (server, by, reason, order) = ("".join(given[key]) if given[key] else None for key in _ONCE)
    return WithdrawOrder(
        id=_id(order),
        by=_text("by", by, MAX_BY) or address,
        reason=_text("reason", reason, MAX_REASON),
        at=now,
        servers=tuple(one.name for one in servers.meant(issues, server)),
        issues=issues,
    )


def _given(query: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    """The values of each parameter. Raises BadMessage."""
    given: dict[str, list[str]] = {key: [] for key in ("issue", *_ONCE)}
    for key, value in query:
        if key not in given:
            known = f"known: issue, {', '.join(_ONCE)}; example: {_EXAMPLE}"
            raise BadMessage(why=f"{ascii(key)[1:-1][:60]} is unknown; {known}")
        given[key].append(value)
    for key in _ONCE:
        if len(given[key]) > 1:
            raise BadMessage(why=f"name at most one {key}")
    if not given["issue"]:
        raise BadMessage(why=f"issue is missing; name at least one; example: {_EXAMPLE}")
    if len(given["issue"]) > MAX_ISSUES:
        raise BadMessage(why=f"at most {MAX_ISSUES} issues in one order; withdraw them in several")
    return given


def _id(given: str | None) -> OrderId:
    if given is None:
        return secrets.token_hex(16)
    try:
        return _ID.validate_python(given)
    except ValidationError:
        raise BadMessage(why="id should be 32 lower-case hexadecimal digits, and different for each order") from None


def _text(key: str, given: str | None, limit: int) -> str:
    text = (given or "").strip()
    if len(text) > limit or not text.isprintable():
        raise BadMessage(why=f"{key} should be at most {limit} printable characters")
    return text
