"""Orders: a person's instructions about messages, and what came of them. They travel like messages, and are facts."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from usher.core.issues import Issue
from usher.core.messages import DeployId, MessageId, Millis
from usher.core.versions import Versioned

OrderId = Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]

MAX_ISSUES, MAX_BY, MAX_REASON = 1000, 100, 500
"""Issues that one order may name, and characters of a name and of a reason."""

MAX_LEFT = 1000
"""An order's result names at most this many issues that were left as they are."""


class _Order(Versioned):
    """Every order says who gave it, why, and when, and lists all servers that it means.

    `issues` empty means all issues, where the kind of order allows that.
    """

    id: OrderId
    by: str
    reason: str = ""
    at: Millis
    servers: tuple[str, ...]
    issues: tuple[Issue, ...] = ()


class WithdrawOrder(_Order):
    """These issues are not to be deployed to these servers."""

    kind: Literal["order.withdraw"] = "order.withdraw"


class RetryOrder(_Order):
    """What is parked is to be deployed again at once; or what one deploy covered, whose moves are `moves`."""

    kind: Literal["order.retry"] = "order.retry"
    deploy: DeployId | None = None
    moves: tuple[MessageId, ...] = ()


class DropOrder(_Order):
    """What is parked is not to be deployed any more."""

    kind: Literal["order.drop"] = "order.drop"


Order = WithdrawOrder | RetryOrder | DropOrder
AnyOrder = Annotated[Order, Field(discriminator="kind")]


class _Named(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    issue: Issue
    server: str


class ChangedMessage(_Named):
    """A message that an order withdrew, or the next attempt of one that it retried."""

    id: MessageId
    attempt: int


class RunningMessage(_Named):
    """A withdrawn message that `deploy` is deploying: the order takes effect only if that deploy does not pass."""

    deploy: str


class LeftIssue(_Named):
    """An issue that an order named and left as it is, and why."""

    why: str


class OrderDone(Versioned):
    """An order has been carried out: nothing that happens later is done because of it. `left` is bounded."""

    kind: Literal["order.done"] = "order.done"
    order: OrderId
    at: Millis
    left: tuple[LeftIssue, ...] = ()
