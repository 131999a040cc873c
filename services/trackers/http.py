"""The door's web pages: HTTP in, HTTP out, nothing decided here."""

from typing import Any

from fastapi import Depends, FastAPI, Request, Response
from pydantic import BaseModel

from trackers.door import Accepted, Door, Ignored
from trackers.jira.bodies import Unparsable
from trackers.jira.signature import Unauthentic
from trackers.withdrawals import LONGEST_BY, MOST_ISSUES, Withdrawals, read_order
from usher.api.types import IgnoredMove, Withdrawal
from usher.core.errors import UsherError
from usher.core.messages import BackMessage, FrontMessage
from usher.core.servers import Servers
from usher.web.app import web_app
from usher.web.auth import refuse_foreign_pages
from usher.web.bodies import TooLarge, read_body
from usher.web.faults import answer_faults, faults


class IgnoredMoves(BaseModel):
    """The moves ignored last, newest first."""

    items: list[IgnoredMove]


_STATUS_CODES: dict[type[UsherError], int] = {Unparsable: 400, Unauthentic: 401, TooLarge: 413}


def create_app(door: Door, withdrawals: Withdrawals, servers: Servers, body_limit: int) -> FastAPI:
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
        dependencies=[Depends(refuse_foreign_pages)],
        responses=faults(403, 404, 422, 503),
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


def _takes(model: type[BaseModel]) -> dict[str, Any]:
    # read by hand, so that project and status are checked with it: FastAPI does not know of it
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
