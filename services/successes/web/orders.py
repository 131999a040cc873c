"""The HTTP API's orders: read strictly, refused in a sentence, answered with what was done and what was not."""

import asyncio
from functools import partial
from typing import Annotated, Any, TypeVar

from fastapi import Depends, FastAPI, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from successes.orders.orders import NothingToRetry, Orders, Selection, UnknownDeploy
from usher.api.types import Ordered
from usher.core.errors import BadMessage, BrokerError, UnknownServer, UsherError
from usher.core.issues import Issue
from usher.core.servers import Servers
from usher.web.auth import ForeignPage, refuse_foreign_pages

O = TypeVar("O", bound="Order")  # noqa: E741 - an order

MOST_BYTES = 1024 * 1024
MOST_ISSUES = 1000
BODY_SECONDS = 10.0

_STATUS_CODES: dict[type[UsherError], int] = {
    ForeignPage: 403,
    UnknownDeploy: 404,
    UnknownServer: 404,
    NothingToRetry: 409,
    BadMessage: 422,
    BrokerError: 503,
}


class BadOrder(BadMessage):
    """{why}"""


class Order(BaseModel):
    """An order; `by` is who gives it (default: the address that it comes from)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    by: Annotated[str | None, Field(max_length=100)] = None


class ParkedOrder(Order):
    """About what is parked of a server, of these issues, or of both; `all` is needed to name neither."""

    server: str | None = None
    issues: Annotated[tuple[Issue, ...], Field(max_length=MOST_ISSUES)] = ()
    all: bool = False


def add_orders(app: FastAPI, servers: Servers, orders: Orders) -> None:
    """Add `POST /api/parked/retry`, `/api/parked/drop` and `/api/deploys/{deploy}/retry`."""
    for fault in _STATUS_CODES:
        app.add_exception_handler(fault, _answer)
    post = partial(app.post, tags=["orders"], dependencies=[Depends(refuse_foreign_pages)])

    @post("/api/parked/retry", responses=_faults(403, 404, 422, 503), openapi_extra=_takes(ParkedOrder))
    async def retry_parked(request: Request) -> Ordered:
        """Try parked messages again at once."""
        return await orders.retry_parked(_selection(await _read(request, ParkedOrder), servers))

    @post("/api/parked/drop", responses=_faults(403, 404, 422, 503), openapi_extra=_takes(ParkedOrder))
    async def drop_parked(request: Request) -> Ordered:
        """Drop parked messages: they are not deployed until their issues move again."""
        return await orders.drop_parked(_selection(await _read(request, ParkedOrder), servers))

    @post("/api/deploys/{deploy}/retry", responses=_faults(403, 404, 409, 422, 503), openapi_extra=_takes(Order))
    async def retry_deploy(deploy: str, request: Request) -> Ordered:
        """Try again at once what a deploy covered and has not passed since."""
        return await orders.retry_deploy(deploy, str((await _read(request, Order)).by))


def _selection(order: ParkedOrder, servers: Servers) -> Selection:
    """What is meant. Raises BadOrder or UnknownServer."""
    if not (order.server or order.issues or order.all):
        raise BadOrder(why='name a server or issues, or say "all": true')
    projects = {server.project for server in servers}
    for issue in order.issues:
        if issue.project.lower() not in projects:
            raise BadOrder(why=f"no server deploys {issue.project}, so nothing of {issue} is parked")
    if order.server is None:
        wanted = {issue.project.lower() for issue in order.issues} or projects
        names = tuple(server.name for server in servers if server.project in wanted)
    else:
        server = servers.named(order.server.strip())
        names = (server.name,)
        for issue in order.issues:
            if issue.project.lower() != server.project:
                raise BadOrder(why=f"{issue} is not an issue of {server.project}, which {server} deploys")
    return Selection(names, tuple(dict.fromkeys(order.issues)), str(order.by))


async def _read(request: Request, kind: type[O]) -> O:
    """The order in a body, given by somebody. Raises BadOrder."""
    try:
        order = kind.model_validate_json(await _body(request) or b"{}")
    except ValidationError as invalid:
        error = invalid.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in error["loc"])
        raise BadOrder(why=f"{where}: {error['msg']}" if where else error["msg"]) from None
    by = (order.by or "").strip() or (request.client.host if request.client else "nobody")
    if not by.isprintable():
        raise BadOrder(why="by should be a name of at most 100 printable characters")
    return order.model_copy(update={"by": by})


async def _body(request: Request) -> bytes:
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for chunk in request.stream():
                body += chunk
                if len(body) > MOST_BYTES:
                    raise BadOrder(why="an order is at most 1 MiB long; give it in several")
    except TimeoutError:
        raise BadOrder(why=f"the order did not come within {BODY_SECONDS:.0f} s") from None
    return bytes(body)


async def _answer(_: Request, fault: Exception) -> JSONResponse:
    code = next(code for kind, code in _STATUS_CODES.items() if isinstance(fault, kind))
    return JSONResponse({"detail": str(fault)}, code, {"Retry-After": "10"} if code == 503 else None)


def _faults(*codes: int) -> dict[int | str, dict[str, Any]]:
    said = {
        403: "From a web page of another site",
        404: "There is none of that name",
        409: "There is nothing to try again",
        422: "What is wrong with the order",
        503: "It may not have been done: ask again soon",
    }
    return {code: {"description": said[code]} for code in codes}


def _takes(model: type[BaseModel]) -> dict[str, Any]:
    # the body is read by hand, so that it is bounded and what is wrong is a sentence: FastAPI doesn't know of it
    return {"requestBody": {"content": {"application/json": {"schema": model.model_json_schema()}}}}
