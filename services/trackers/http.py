"""The HTTP routes of the door. They make no decisions."""

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.routing import APIRoute
from pydantic import BaseModel

from trackers.door import Accepted, Door, Ignored
from trackers.jira.bodies import Unparsable
from trackers.jira.signature import Unauthentic
from usher.api.orders import OrderState
from usher.core.errors import UsherError
from usher.core.messages import BackMessage, FrontMessage
from usher.core.orders import MAX_BY, MAX_ISSUES, MAX_REASON
from usher.settings import Settings
from usher.web.app import web_app
from usher.web.bodies import TooLarge, read_body
from usher.web.faults import answer_faults, faults
from usher.web.guard import sender
from usher.web.page import About

_STATUS_CODES: dict[type[UsherError], int] = {Unparsable: 400, Unauthentic: 401, TooLarge: 413}

ABOUT = About(
    "trackers",
    "The entrance to Usher. It accepts the moves of issues that Jira reports, and publishes them for deployment. "
    "Jira sends its webhooks to /webhooks/jira.",
    (),
    (
        ("usher ignored", "the latest moves that do not map to a server, and why"),
        ("usher send ABC-111 beta", "report a move by hand"),
        ("usher explain ABC-111 beta", "what would a move do?"),
    ),
)


class Direct(APIRoute):
    """A route whose endpoint takes the request and returns the response. Only its documentation is FastAPI's work."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        return self.endpoint


def create_app(door: Door, settings: Settings) -> FastAPI:
    """Create the app for a door."""
    app = web_app(ABOUT, settings, door.unready, body_limit=None)
    answer_faults(app, _STATUS_CODES)

    async def body_of(request: Request) -> bytes:
        return await read_body(request, settings.trackers.body_limit, "[trackers] body_limit")

    async def webhook(request: Request) -> Response:
        """Accept a delivery from Jira once the broker has confirmed its messages, or ignore it and say why."""
        answer = await door.webhook(request.headers, await body_of(request))
        code = 202 if isinstance(answer, Accepted) else 200
        return Response(answer.model_dump_json(), code, media_type="application/json")

    app.router.add_api_route(
        "/webhooks/jira",
        webhook,
        methods=["POST"],
        status_code=202,
        response_model=Accepted | Ignored,
        responses=faults(400, 401, 403, 408, 413, 503) | {200: {"model": Ignored}},
        route_class_override=Direct,
    )

    @app.post(
        "/messages",
        status_code=201,
        responses=faults(403, 408, 413, 422, 503),
        openapi_extra=_takes(FrontMessage),
    )
    async def message(request: Request) -> BackMessage:
        """Publish a front-end message. The answer is the message, which the broker has confirmed."""
        return await door.message(await body_of(request), sender(request))

    @app.delete(
        "/messages",
        status_code=202,
        responses=faults(403, 404, 422, 503),
        openapi_extra={"parameters": _WITHDRAWAL},
    )
    async def withdraw(request: Request) -> OrderState:
        """Order that pending issues are withdrawn, on one server or on all.

        The broker has confirmed the order, and successes carries it out. `GET /api/orders/{id}` at successes shows its
        result.
        """
        query, length = request.query_params.multi_items(), len(request.scope["query_string"])
        return await door.withdraw(query, length, sender(request))

    return app


def _takes(model: type[BaseModel]) -> dict[str, Any]:
    # the door parses the body, so that it can check project and status too; FastAPI does not know the schema
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": model.model_json_schema()}}}}


def _parameter(name: str, about: str, schema: dict[str, Any], *, required: bool = False) -> dict[str, Any]:
    # the door parses the query, so that errors are sentences; FastAPI does not know the parameters
    return {"name": name, "in": "query", "description": about, "required": required, "schema": schema}


_ID = "^[0-9a-f]{32}$"
_WITHDRAWAL = [
    _parameter("server", "Withdraw only from this server; default: from all", {"type": "string"}),
    _parameter(
        "issue",
        "An issue like ABC-111; repeat it for several",
        {"type": "array", "items": {"type": "string"}, "maxItems": MAX_ISSUES},
        required=True,
    ),
    _parameter("by", "Who gives the order; default: the client's address", {"type": "string", "maxLength": MAX_BY}),
    _parameter("reason", "Why", {"type": "string", "maxLength": MAX_REASON}),
    _parameter("id", "Made by the client; the order can safely be sent again", {"type": "string", "pattern": _ID}),
]
