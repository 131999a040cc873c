"""Orders: a person's instructions about messages and servers, and their results. They are published like messages."""

from typing import Annotated, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from usher.core.issues import Issue
from usher.core.messages import DeployId, MessageId, Millis
from usher.core.scopes import PATTERN
from usher.core.versions import Versioned

OrderId = Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]

MAX_ISSUES, MAX_BY, MAX_REASON = 1000, 100, 500
"""The maximum number of issues in an order, and the maximum lengths of `by` and `reason`, in characters."""

MAX_HOLDS = 500
"""The maximum number of holds that stand at a time."""

MAX_LEFT = 1000
"""The maximum number of unchanged issues in an order's result."""


class _Order(Versioned):
    """What all orders have in common: who gave the order, why, when (ms), and for which servers.

    Empty `issues` means all issues, if the kind of order allows that. An order is `republished` if no queue delivered
    it, or if the journal had lost it.
    """

    id: OrderId
    by: str
    reason: str = ""
    at: Millis
    servers: tuple[str, ...]
    issues: tuple[Issue, ...] = ()
    republished: bool = False


class WithdrawOrder(_Order):
    """Do not deploy these issues to these servers."""

    kind: Literal["order.withdraw"] = "order.withdraw"


class RetryOrder(_Order):
    """Queue parked messages again now. With `deploy`, queue the messages again that this deploy covered.

    `moves` are then the moves of those messages.
    """

    kind: Literal["order.retry"] = "order.retry"
    deploy: DeployId | None = None
    moves: tuple[MessageId, ...] = ()


class DropOrder(_Order):
    """Do not deploy parked messages any more."""

    kind: Literal["order.drop"] = "order.drop"


class AbortOrder(_Order):
    """The command of the deploy `deploy`, which could not be killed, is `gone`: none of its processes is left."""

    needs: ClassVar[int] = 2

    kind: Literal["order.abort"] = "order.abort"
    deploy: DeployId
    gone: Literal[True] = True


class HoldOrder(_Order):
    """Do not deploy to the servers in `scope` (a pattern over `status.project`). Their messages collect meanwhile.

    It begins at its place in the journal. It ends when it is released, or once `until` (ms) has passed. A `warning`
    stops nothing; it is only shown. `servers` are the servers in its scope when it was given.
    """

    needs: ClassVar[int] = 3

    kind: Literal["order.hold"] = "order.hold"
    scope: Annotated[str, Field(pattern=PATTERN)]
    until: Millis | None = None
    warning: bool = False


class ReleaseOrder(_Order):
    """End these holds, at the place of this order in the journal. The others stand."""

    needs: ClassVar[int] = 3

    kind: Literal["order.release"] = "order.release"
    holds: Annotated[tuple[OrderId, ...], Field(min_length=1, max_length=MAX_HOLDS)]


Order = WithdrawOrder | RetryOrder | DropOrder | AbortOrder | HoldOrder | ReleaseOrder
AnyOrder = Annotated[Order, Field(discriminator="kind")]


class _Named(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    issue: Issue
    server: str


class ChangedMessage(_Named):
    """A message that an order withdrew or dropped, or the next attempt of a message that it retried."""

    id: MessageId
    attempt: int


class RunningMessage(_Named):
    """A withdrawn message that `deploy` is deploying. The order takes effect only if that deploy does not pass."""

    deploy: str


class LeftIssue(_Named):
    """An issue that an order named but did not change, and why."""

    why: str


class HoldExpired(Versioned):
    """The `until` of a hold has passed: the hold has ended. Whoever finds that writes it. `at` is not before `until`,
    or else this changes nothing."""

    needs: ClassVar[int] = 3

    kind: Literal["hold.expired"] = "hold.expired"
    hold: OrderId
    at: Millis


class OrderDone(Versioned):
    """An order has been carried out. It changes nothing after this. `left` has at most MAX_LEFT items."""

    kind: Literal["order.done"] = "order.done"
    order: OrderId
    at: Millis
    left: tuple[LeftIssue, ...] = ()
