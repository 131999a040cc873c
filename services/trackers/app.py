"""The door's web pages: HTTP in, HTTP out, nothing decided here."""

from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.requests import ClientDisconnect

from trackers.bodies import Unparsable
from trackers.door import Accepted, Door, Ignored
from trackers.signature import Unauthentic
from usher.answers import IgnoredMove
from usher.errors import BadMessage, BrokerError, UsherError
from usher.messages import BackMessage, FrontMessage
from usher.web import web_app

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
    TooLarge: 413,
    BadMessage: 422,
    BrokerError: 503,
}


def create_app(door: Door, body_limit: int) -> FastAPI:
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

    @app.post("/messages", status_code=201, responses=_faults(413, 422, 503), openapi_extra=_takes(FrontMessage))
    async def message(request: Request) -> BackMessage:
        """A front-end message: the message that the broker has confirmed."""
        return await door.message(await read_body(request, body_limit))

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
