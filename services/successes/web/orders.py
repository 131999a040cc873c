"""The HTTP API for orders about messages, and the list of all orders."""

from functools import partial

from fastapi import FastAPI, Request, Response

from successes.ledger.queries import Page
from successes.orders.covered import NothingToRetry, UnknownDeploy
from successes.orders.desk import Desk, NotStuck, Signed, UnknownOrder
from successes.web.order_bodies import AbortBody, DropBody, OrderBody, RetryBody, WithdrawBody
from successes.web.paging import IssueKey, Paged
from usher.api.orders import OrderState
from usher.core.errors import BadMessage, UsherError
from usher.core.issues import Issue
from usher.core.orders import DropOrder, RetryOrder, WithdrawOrder
from usher.core.servers import Servers
from usher.runtime.clock import Clock
from usher.web.faults import faults
from usher.web.guard import sender

FAULTS: dict[type[UsherError], int] = {UnknownDeploy: 404, UnknownOrder: 404, NotStuck: 404, NothingToRetry: 409}


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
        return coded(response, await desk.give(WithdrawOrder(**_facts(body, request, servers, desk, clock))))

    @post("/api/orders/retry", responses={**faults(403, 404, 409, 422, 503), 202: {"model": OrderState}})
    async def retry(body: RetryBody, request: Request, response: Response) -> OrderState:
        """Queue parked messages again, or the messages of a deploy that have not passed since."""
        if body.deploy:
            state = await desk.retry_deploy(body.deploy, Signed(body.id, by(body, request), body.reason))
        else:
            state = await desk.give(RetryOrder(**_facts(body, request, servers, desk, clock)))
        return coded(response, state)

    @post("/api/orders/drop")
    async def drop(body: DropBody, request: Request, response: Response) -> OrderState:
        """Drop parked messages. Their issues are not deployed until they are moved again."""
        return coded(response, await desk.give(DropOrder(**_facts(body, request, servers, desk, clock))))

    @post("/api/orders/abort")
    async def abort(body: AbortBody, request: Request, response: Response) -> OrderState:
        """Record that the command of a stuck deploy has ended: none of its processes is left on any machine."""
        return coded(response, await desk.abort_stuck(body.deploy, Signed(body.id, by(body, request), body.reason)))

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
        "by": by(body, request),
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


def by(body: OrderBody, request: Request) -> str:
    """Who gives an order: the name in its body, or else the client's address."""
    return body.by or sender(request)


def coded(response: Response, state: OrderState) -> OrderState:
    """Set the response's status code: 202 if the order has not been carried out yet."""
    response.status_code = 202 if state.state == "requested" else 200
    return state
