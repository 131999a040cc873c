"""Holds: refuses those that make no sense, and finds those that a release means."""

from collections.abc import Collection

from successes.orders.desk import Desk
from usher.api.orders import OrderState
from usher.core.errors import UsherError
from usher.core.orders import MAX_HOLDS, HoldOrder
from usher.core.scopes import Scope

NAMED = 10
"""The maximum number of holds that an error names."""


class TooManyHolds(UsherError):
    """there are already {number} holds; release some first: `usher holds` lists them"""


class NotHeld(UsherError):
    """{what}; {stand}"""


async def hold(desk: Desk, order: HoldOrder) -> OrderState:
    """Hold the servers in the order's scope. Raises what the desk's `give` raises, and TooManyHolds."""
    if not desk.known(HoldOrder, order.id) and len((await desk.read()).orders.holds) >= MAX_HOLDS:
        raise TooManyHolds(number=MAX_HOLDS)
    return await desk.give(order)


async def find(desk: Desk, *, scope: Scope | None = None, hold: str | None = None) -> tuple[HoldOrder, ...]:
    """The standing holds that a release means: the one whose id begins with `hold`, or all with exactly that scope.

    Raises NotHeld if there is none, or if more than one id begins so.
    """
    standing = tuple((await desk.read()).orders.holds)
    found = tuple(h for h in standing if (h.id.startswith(hold) if hold else h.scope == str(scope)))
    if not found or (hold and len(found) > 1):
        what = f"hold whose id begins with {ascii(hold)[1:-1][:40]}" if hold else f"hold on {scope}"
        raise NotHeld(what=f"there is more than one {what}" if found else f"there is no {what}", stand=_stand(standing))
    return found


def _stand(holds: Collection[HoldOrder]) -> str:
    """Which holds stand, in words."""
    if not holds:
        return "nothing is held"
    named = ", ".join(f"{hold.scope} ({hold.id[:8]})" for hold in tuple(holds)[:NAMED])
    return f"the holds are: {named}{' and more' if len(holds) > NAMED else ''}"
