"""The type of the API's answers about orders."""

from typing import Literal

from usher.api.types import Answer, Time, time
from usher.core.board.ordered import Ordered
from usher.core.issues import Issue
from usher.core.orders import AbortOrder, ChangedMessage, HoldOrder, LeftIssue, RetryOrder, RunningMessage

Kind = Literal["withdraw", "retry", "drop", "abort", "hold", "release"]

KINDS: dict[str, Kind] = {
    "order.withdraw": "withdraw",
    "order.retry": "retry",
    "order.drop": "drop",
    "order.abort": "abort",
    "order.hold": "hold",
    "order.release": "release",
}


class OrderState(Answer):
    """An order, who gave it, and its result. `state` is `requested` until it is `done`. A hold is `standing` meanwhile.

    `messages` are the messages that it withdrew or dropped. For a retry, they are the next attempts. `running` are
    withdrawn messages that are being deployed: for these, the order takes effect only if that deploy does not pass. For
    a hold, they are messages whose deploys had been granted before it. `left` are issues that an order named but did
    not change. `released` are the holds that a release ended, and `released_by` is who ended a hold; nobody, if it has
    expired. An old order can be `abridged`: it keeps only who gave it, why and when.
    """

    id: str
    order: Kind
    by: str
    reason: str
    at: Time
    servers: tuple[str, ...]
    issues: tuple[Issue, ...]
    deploy: str | None = None
    scope: str | None = None
    until: Time | None = None
    warning: bool = False
    state: Literal["requested", "standing", "done"]
    done_at: Time | None = None
    abridged: bool = False
    messages: tuple[ChangedMessage, ...] = ()
    running: tuple[RunningMessage, ...] = ()
    left: tuple[LeftIssue, ...] = ()
    released_by: str | None = None
    released: tuple[str, ...] = ()

    @classmethod
    def of(cls, ordered: Ordered) -> "OrderState":
        """Convert the board's entry of an order."""
        order, done_at = ordered.order, ordered.done_at
        return cls(
            id=order.id,
            order=KINDS[order.kind],
            by=order.by,
            reason=order.reason,
            at=time(order.at),
            servers=order.servers,
            issues=order.issues,
            deploy=order.deploy if isinstance(order, RetryOrder | AbortOrder) else None,
            scope=order.scope if isinstance(order, HoldOrder) else None,
            until=time(order.until) if isinstance(order, HoldOrder) and order.until is not None else None,
            warning=isinstance(order, HoldOrder) and order.warning,
            state="standing" if ordered.stands else "requested" if done_at is None else "done",
            done_at=None if done_at is None else time(done_at),
            abridged=ordered.abridged,
            messages=tuple(ordered.changed.values()),
            running=tuple(ordered.running.values()),
            left=ordered.left,
            released_by=ordered.ended_by,
            released=ordered.ended,
        )
