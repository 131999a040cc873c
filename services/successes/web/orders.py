"""The HTTP API for orders: validates them strictly, and answers with their results."""

import secrets
from functools import partial
from typing import Annotated, Literal, Self

from fastapi import FastAPI, Request, Response
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, model_validator

from successes.ledger.queries import Page
from successes.orders.covered import NothingToRetry, UnknownDeploy
from successes.orders.desk import Desk, NotStuck, Signed, UnknownOrder
from successes.web.paging import IssueKey, Paged
from usher.api.types import OrderState
from usher.core.errors import BadMessage, UsherError
from usher.core.issues import Issue
from usher.core.orders import MAX_BY, MAX_ISSUES, MAX_REASON, DropOrder, OrderId, RetryOrder, WithdrawOrder
from usher.core.servers import Servers
from usher.runtime.clock import Clock
from usher.web.faults import faults
from usher.web.guard import sender

FAULTS: dict[type[UsherError], int] = {UnknownDeploy: 404, UnknownOrder: 404, NotStuck: 404, NothingToRetry: 409}


def _printable(text: str) -> str:
    if not text.isprintable():
        raise ValueError("use printable characters only")
    return text


Name = Annotated[str, StringConstraints(strip_whitespace=True, max_length=MAX_BY), AfterValidator(_printable)]
Reason = Annotated[str, StringConstraints(strip_whitespace=True, max_length=MAX_REASON), AfterValidator(_printable)]
Issues = Annotated[tuple[Issue, ...], Field(max_length=MAX_ISSUES)]


class OrderBody(BaseModel):
    """What all orders have in common.

    The client makes the `id` (32 hexadecimal digits), so that it can safely send the order again. `by` is who gives the
    order (default: the client's address).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: OrderId = Field(default_factory=partial(secrets.token_hex, 16))
    by: Name = ""
    reason: Reason = ""


class WithdrawBody(OrderBody):
    """Withdraw these issues, on that server or on all."""

    server: str | None = None
    issues: Annotated[Issues, Field(min_length=1)]


class DropBody(OrderBody):
    """Drop parked messages of a server, of these issues, or of both. To name neither, `all` must be true."""

    server: str | None = None
    issues: Issues = ()
    all: bool = False

    @model_validator(mode="after")
    def _is_clear(self) -> Self:
        if fault := self._fault():
            raise ValueError(fault)
        return self

    def _fault(self) -> str | None:
        return None if self.server or self.issues or self.all else 'name a server or issues, or set "all": true'


class RetryBody(DropBody):
    """Retry parked messages, as for a drop; or the messages that `deploy` covered and that have not passed since."""

    deploy: str | None = None

    def _fault(self) -> str | None:
        if not self.deploy:
            return super()._fault()
        return "name either a deploy, or a server, issues or all" if super()._fault() is None else None


class AbortBody(OrderBody):
    """A deploy that could not be killed. `gone` must be true: the command has ended."""

    deploy: str
    gone: Literal[True]


def add_orders(app: FastAPI, servers: Servers, desk: Desk, clock: Clock) -> None:
    """Add `POST /api/orders/withdraw`, `retry`, `drop` and `abort`, `GET /api/orders` and `GET /api/orders/{order}`."""
    post = partial(
        app.post,
        tags=["orders"],
        responses={**faults(403, 404, 422, 503), 202: {"model": OrderState, "description": "Not carried out yet"}},
    )

    @post("/api/orders/withdraw")
    async def withdraw(body: WithdrawBody, request: Request, response: Response) -> OrderState:
        """Withdraw pending issues. A running deploy goes on."""
        return _coded(response, await desk.give(WithdrawOrder(**_facts(body, request, servers, desk, clock))))

    @post("/api/orders/retry", responses={**faults(403, 404, 409, 422, 503), 202: {"model": OrderState}})
    async def retry(body: RetryBody, request: Request, response: Response) -> OrderState:
        """Queue parked messages again, or the messages of a deploy that have not passed since."""
        if body.deploy:
            state = await desk.retry_deploy(body.deploy, Signed(body.id, _by(body, request), body.reason))
        else:
            state = await desk.give(RetryOrder(**_facts(body, request, servers, desk, clock)))
        return _coded(response, state)

    @post("/api/orders/drop")
    async def drop(body: DropBody, request: Request, response: Response) -> OrderState:
        """Drop parked messages. Their issues are not deployed until they are moved again."""
        return _coded(response, await desk.give(DropOrder(**_facts(body, request, servers, desk, clock))))

    @post("/api/orders/abort")
    async def abort(body: AbortBody, request: Request, response: Response) -> OrderState:
        """Record that the command of a stuck deploy has ended: none of its processes is left on any machine."""
        return _coded(response, await desk.abort_stuck(body.deploy, Signed(body.id, _by(body, request), body.reason)))

    _add_audit(app, desk)


def _add_audit(app: FastAPI, desk: Desk) -> None:
    @app.get("/api/orders", tags=["orders"], responses=faults(422, 503))
    async def orders(
        asked: Paged, issue: IssueKey = None, server: str | None = None, by: str | None = None
    ) -> Page[OrderState]:
        """The last orders, newest first: who gave each, why, and its result."""
        found = desk.listed(Issue.parse(issue) if issue else None, server, by)
        here = found[asked.offset : asked.offset + asked.per_page]
        return asked.of(len(found), [OrderState.of(entry) for entry in here])

    @app.get("/api/orders/{order}", tags=["orders"], responses=faults(404, 503))
    async def one_order(order: str) -> OrderState:
        """One order."""
        return await desk.find(order)


def _facts(
    body: WithdrawBody | DropBody, request: Request, servers: Servers, desk: Desk, clock: Clock
) -> dict[str, object]:
    """The fields of the order to publish. Raises BadMessage or UnknownServer."""
    issues = tuple(dict.fromkeys(body.issues))
    return {
        "id": body.id,
        "by": _by(body, request),
        "reason": body.reason,
        "at": clock.now(),
        "servers": _meant(issues, body.server, servers, desk),
        "issues": issues,
    }


def _meant(issues: tuple[Issue, ...], server: str | None, servers: Servers, desk: Desk) -> tuple[str, ...]:
    """The names of the servers that an order is for. Servers that are no longer in the settings count as well.

    Raises BadMessage or UnknownServer.
    """
    former = tuple(name for name in desk.servers_with(issues) if name not in {one.name for one in servers})
    if server in former:
        return (str(server),)
    try:
        meant = tuple(one.name for one in servers.meant(issues, server))
    except BadMessage:
        if server or not former:
            raise
        meant = ()
    return meant if server else (*meant, *former)


def _by(body: OrderBody, request: Request) -> str:
    return body.by or sender(request)


def _coded(response: Response, state: OrderState) -> OrderState:
    response.status_code = 200 if state.state == "done" else 202
    return state
