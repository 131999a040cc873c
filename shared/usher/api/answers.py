"""Answers of the services, read strictly: what is not Usher's, or of another version, is said in a sentence."""

from typing import Any, TypeVar

import httpx
from pydantic import BaseModel, ValidationError

from usher.core.errors import ServiceError

A = TypeVar("A", bound=BaseModel)


def fault_of(answer: httpx.Response) -> str | None:
    """What a service says is wrong, in its own words."""
    try:
        said = json_of(answer)
    except ServiceError:
        return None
    detail = said.get("detail") or said.get("reason")
    if isinstance(detail, list):
        detail = "; ".join(str(item["msg"]).removeprefix("Value error, ") for item in detail if "msg" in item)
    return detail if isinstance(detail, str) else None


def json_of(answer: httpx.Response) -> dict[str, Any]:
    """The object that a service answers with. Raises ServiceError if it is none of Usher's."""
    try:
        said = answer.json()
    except ValueError:
        said = None
    if not isinstance(said, dict):
        raise ServiceError(
            why=f"what answers at {answer.url} is not Usher; choose a port of its own in [trackers] and [successes]"
        )
    return said


def read(kind: type[A], item: object) -> A:
    """A part of an answer as its type. Raises ServiceError if this version does not understand it."""
    try:
        return kind.model_validate(item)
    except ValidationError as invalid:
        error = invalid.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in error["loc"])
        raise ServiceError(
            why=f"a service answers what this version does not understand ({kind.__name__} {where}: {error['msg']}); "
            "run the same version everywhere, and see that its port is Usher's: `usher doctor`"
        ) from None
