"""The HTTP API for holds."""

from fastapi import FastAPI, Request, Response

from successes.orders import holding
from successes.orders.desk import Desk
from successes.orders.holding import NotHeld, TooManyHolds
from successes.web.order_bodies import HoldBody, ReleaseBody
from successes.web.orders import by, coded
from usher.api.orders import OrderState
from usher.api.types import Hold
from usher.core.errors import BadMessage, UsherError
from usher.core.orders import HoldOrder, ReleaseOrder
from usher.core.scopes import parse_scope
from usher.core.servers import Servers
from usher.runtime.clock import Clock
from usher.web.faults import faults

FAULTS: dict[type[UsherError], int] = {NotHeld: 404, TooManyHolds: 409}


def add_holds(app: FastAPI, servers: Servers, desk: Desk, clock: Clock) -> None:
    """Add `POST /api/orders/hold` and `release`, and `GET /api/holds`."""
    responses = {**faults(403, 404, 409, 422, 503), 202: {"model": OrderState, "description": "Not carried out yet"}}

    @app.post("/api/orders/hold", tags=["orders"], responses=responses)
    async def hold(body: HoldBody, request: Request, response: Response) -> OrderState:
        """Hold servers: nothing is deployed there, and messages collect, until the hold expires or is released."""
        scope, now = parse_scope(body.scope, servers), clock.now()
        until = None if body.until is None else round(body.until.timestamp() * 1000)
        if until is not None and until <= now:
            raise BadMessage(why=f"a hold until {body.until} would have ended already")
        order = HoldOrder(
            id=body.id,
            by=by(body, request),
            reason=body.reason,
            at=now,
            servers=tuple(server.name for server in scope.servers(servers)),
            scope=str(scope),
            until=until,
            warning=body.warning,
        )
        return coded(response, await holding.hold(desk, order))

    @app.post("/api/orders/release", tags=["orders"], responses=responses)
    async def release(body: ReleaseBody, request: Request, response: Response) -> OrderState:
        """End a hold, or all holds with exactly the same scope. Others on the same servers stand."""
        if entry := desk.known(ReleaseOrder, body.id):
            return coded(response, await desk.give(entry.order))
        scope = None if body.scope is None else parse_scope(body.scope, servers)
        found = await holding.find(desk, scope=scope, hold=body.hold)
        order = ReleaseOrder(
            id=body.id,
            by=by(body, request),
            reason=body.reason,
            at=clock.now(),
            servers=tuple(dict.fromkeys(name for one in found for name in one.servers)),
            holds=tuple(one.id for one in found),
        )
        return coded(response, await desk.give(order))

    @app.get("/api/holds", tags=["holds"], responses=faults(503))
    async def holds() -> list[Hold]:
        """The holds and warnings that stand, oldest first."""
        return [Hold.of(one) for one in desk.board.orders.holds]
