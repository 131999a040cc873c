"""The door's web pages: HTTP in, HTTP out, nothing decided here."""

from typing import Any

from fastapi import Depends, FastAPI, Request, Response
from pydantic import BaseModel

from trackers.door import Accepted, Door, Ignored
from trackers.jira.bodies import Unparsable
from trackers.jira.signature import Unauthentic
from usher.api.types import IgnoredMove, OrderState
from usher.core.errors import UsherError
from usher.core.messages import BackMessage, FrontMessage
from usher.core.orders import MAX_BY, MAX_ISSUES, MAX_REASON
from usher.web.app import web_app
from usher.web.auth import refuse_foreign_pages
from usher.web.bodies import TooLarge, read_body
from usher.web.faults import answer_faults, faults


class IgnoredMoves(BaseModel):
    """The moves ignored last, newest first."""

    items: list[IgnoredMove]


_STATUS_CODES: dict[type[UsherError], int] = {Unparsable: 400, Unauthentic: 401, TooLarge: 413}


def create_app(door: Door, body_limit: int) -> FastAPI:
    """The app in front of that door; bodies of more than `body_limit` bytes are refused."""
    app = web_app("Usher: trackers", door.unready, body_limit=None)
    answer_faults(app, _STATUS_CODES)

    async def body_of(request: Request) -> bytes:
        return await read_body(request, body_limit, "[trackers] body_limit")

    @app.post("/webhooks/jira", status_code=202, responses=faults(400, 401, 413, 503) | {200: {"model": Ignored}})
    async def webhook(request: Request, response: Response) -> Accepted | Ignored:
        """A delivery of Jira's: accepted once the broker has confirmed its messages, or ignored with the reason."""
        answer = await door.webhook(request.headers, await body_of(request))
        response.status_code = 202 if isinstance(answer, Accepted) else 200
        return answer

    @app.post(
        "/messages",
        status_code=201,
        dependencies=[Depends(refuse_foreign_pages)],
        responses=faults(403, 413, 422, 503),
        openapi_extra=_takes(FrontMessage),
    )
    async def message(request: Request) -> BackMessage:
        """A front-end message: the message that the broker has confirmed."""
        return await door.message(await body_of(request))

    @app.delete(
        "/messages",
        status_code=202,
        dependencies=[Depends(refuse_foreign_pages)],
        responses=faults(403, 404, 422, 503),
        openapi_extra={"parameters": _WITHDRAWAL},
    )
    async def withdraw(request: Request) -> OrderState:
        """Order issues to be withdrawn from what is pending, on one server or on all: the broker has confirmed the
        order, and successes carries it out. `GET /api/orders/{id}` at successes says what came of it."""
        address = request.client.host if request.client else "nobody"
        query, length = request.query_params.multi_items(), len(request.scope["query_string"])
        return await door.withdraw(query, length, address)

    @app.get("/ignored")
    async def ignored() -> IgnoredMoves:
        """The moves that were ignored last, newest first, 200 at the most."""
        return IgnoredMoves(items=door.ignored)

    return app


def _takes(model: type[BaseModel]) -> dict[str, Any]:
    # read by hand, so that project and status are checked with it: FastAPI does not know of it
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": model.model_json_schema()}}}}


def _parameter(name: str, about: str, schema: dict[str, Any], *, required: bool = False) -> dict[str, Any]:
    # read by hand, so that what is wrong is a sentence: FastAPI doesn't know of it
    return {"name": name, "in": "query", "description": about, "required": required, "schema": schema}


_ID = "^[0-9a-f]{32}$"
_WITHDRAWAL = [
    _parameter("server", "Only from this server; default: from all", {"type": "string"}),
    _parameter(
        "issue",
        "An issue like ABC-111; repeat it for several",
        {"type": "array", "items": {"type": "string"}, "maxItems": MAX_ISSUES},
        required=True,
    ),
    _parameter("by", "Who asks; default: the address", {"type": "string", "maxLength": MAX_BY}),
    _parameter("reason", "Why", {"type": "string", "maxLength": MAX_REASON}),
    _parameter("id", "Made by the client, so that asking again does no harm", {"type": "string", "pattern": _ID}),
]
