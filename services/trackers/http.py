"""The door's web pages: HTTP in, HTTP out, nothing decided here."""

from typing import Any

from fastapi import Depends, FastAPI, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.requests import ClientDisconnect

from trackers.door import Accepted, Door, Ignored
from trackers.jira.bodies import Unparsable
from trackers.jira.signature import Unauthentic
from trackers.withdrawals import LONGEST_BY, MOST_ISSUES, Withdrawals, read_order
from usher.api.types import IgnoredMove, Withdrawal
from usher.core.errors import BadMessage, BrokerError, UnknownServer, UsherError
from usher.core.messages import BackMessage, FrontMessage
from usher.core.servers import Servers
from usher.web.app import ForeignPage, refuse_foreign_pages, web_app

RETRY_SECONDS = 10


class TooLarge(UsherError):
    """the body is larger than {limit} bytes; [trackers] body_limit sets how much is taken"""


class IgnoredMoves(BaseModel):
    """The moves ignored last, newest first."""

    items: list[IgnoredMove]


class Fault(BaseModel):
    """What is wrong, in a sentence."""

    detail: str


_STATUS_CODES: dict[type[UsherError], int] = {
    Unparsable: 400,
    Unauthentic: 401,
    ForeignPage: 403,
    UnknownServer: 404,
    TooLarge: 413,
    BadMessage: 422,
    BrokerError: 503,
}


def create_app(door: Door, withdrawals: Withdrawals, servers: Servers, body_limit: int) -> FastAPI:
    """The app in front of that door; bodies of more than `body_limit` bytes are refused."""
    app = web_app("Usher: trackers", door.ready)
    for fault in _STATUS_CODES:
        app.add_exception_handler(fault, _answer_fault)
    app.add_exception_handler(ClientDisconnect, _answer_nobody)

    @app.post("/webhooks/jira", status_code=202, responses=_faults(400, 401, 413, 503) | {200: {"model": Ignored}})
    async def webhook(request: Request, response: Response) -> Accepted | Ignored:
        """A delivery of Jira's: accepted once the broker has confirmed its messages, or ignored with the reason."""
        answer = await door.webhook(request.headers, await read_body(request, body_limit))
        response.status_code = 202 if isinstance(answer, Accepted) else 200
        return answer

    @app.post(
        "/messages",
        status_code=201,
        dependencies=[Depends(refuse_foreign_pages)],
        responses=_faults(403, 413, 422, 503),
        openapi_extra=_takes(FrontMessage),
    )
    async def message(request: Request) -> BackMessage:
        """A front-end message: the message that the broker has confirmed."""
        return await door.message(await read_body(request, body_limit))

    @app.delete(
        "/messages",
        dependencies=[Depends(refuse_foreign_pages)],
        responses=_faults(403, 404, 422, 503),
        openapi_extra={"parameters": _ORDER},
    )
    async def withdraw(request: Request) -> Withdrawal:
        """Take issues out of what waits, on one server or on all; what is being deployed goes on."""
        address = request.client.host if request.client else "nobody"
        query, length = request.query_params.multi_items(), len(request.scope["query_string"])
        return await withdrawals.carry_out(read_order(query, length, servers, address))

    @app.get("/ignored")
    async def ignored() -> IgnoredMoves:
        """The moves that were ignored last, newest first, 200 at the most."""
        return IgnoredMoves(items=door.ignored)

    return app


async def read_body(request: Request, limit: int) -> bytes:
    """The whole body. Raises TooLarge as soon as it is known to exceed `limit` bytes, whatever its headers say."""
    length = request.headers.get("content-length", "")
    if length.isascii() and length.isdigit() and (len(length) > 18 or int(length) > limit):
        raise TooLarge(limit=limit)
    body = bytearray()
    async for chunk in request.stream():
        if len(body) + len(chunk) > limit:
            raise TooLarge(limit=limit)
        body += chunk
    return bytes(body)


async def _answer_fault(_: Request, fault: Exception) -> JSONResponse:
    code = next(code for kind, code in _STATUS_CODES.items() if isinstance(fault, kind))
    headers = {"Retry-After": str(RETRY_SECONDS)} if code == _STATUS_CODES[BrokerError] else None
    return JSONResponse({"detail": str(fault)}, code, headers)


async def _answer_nobody(_: Request, __: Exception) -> Response:
    """The sender went in the middle of the body."""
    return Response(status_code=400)


def _faults(*codes: int) -> dict[int | str, dict[str, Any]]:
    return {code: {"model": Fault} for code in codes}


def _takes(model: type[BaseModel]) -> dict[str, Any]:
    # the body is read by hand, so that it is bounded: FastAPI doesn't know of it
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": model.model_json_schema()}}}}


def _parameter(name: str, about: str, schema: dict[str, Any], *, required: bool = False) -> dict[str, Any]:
    # read by hand, so that what is wrong is a sentence: FastAPI doesn't know of it
    return {"name": name, "in": "query", "description": about, "required": required, "schema": schema}


_ORDER = [
    _parameter("server", "Only from that server; default: from all", {"type": "string"}),
    _parameter(
        "issue",
        "An issue like ABC-111; several times for several",
        {"type": "array", "items": {"type": "string"}, "maxItems": MOST_ISSUES},
        required=True,
    ),
    _parameter("by", "Who asks; default: the address", {"type": "string", "maxLength": LONGEST_BY}),
]
