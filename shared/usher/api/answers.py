"""Reads the services' answers strictly. An answer that is not Usher's, or from another version, is an error."""

from typing import Any, TypeVar

import httpx
from pydantic import TypeAdapter, ValidationError

from usher.core.errors import ServiceError

A = TypeVar("A")


def fault_of(answer: httpx.Response) -> str | None:
    """The error message in a service's answer; None if there is none."""
    try:
        body = json_of(answer)
    except ServiceError:
        return None
    detail = body.get("detail") or body.get("reason")
    if isinstance(detail, list):
        detail = "; ".join(str(item["msg"]).removeprefix("Value error, ") for item in detail if "msg" in item)
    return detail if isinstance(detail, str) else None


def json_of(answer: httpx.Response) -> dict[str, Any]:
    """The JSON object in a service's answer. Raises ServiceError if the answer is not a JSON object."""
    try:
        body = answer.json()
    except ValueError:
        body = None
    if not isinstance(body, dict):
        raise ServiceError(
            why=f"the program at {answer.url} is not Usher; choose an unused port in [trackers] and [successes]"
        )
    return body


def read(kind: type[A], item: object) -> A:
    """Parse a part of an answer as this type. Raises ServiceError if this version does not understand it."""
    try:
        return TypeAdapter(kind).validate_python(item)
    except ValidationError as invalid:
        error = invalid.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in error["loc"])
        raise ServiceError(
            why=f"this version does not understand a service's answer ({kind.__name__} {where}: {error['msg']}); "
            "run the same version everywhere, and check with `usher doctor` that Usher answers on the port"
        ) from None
