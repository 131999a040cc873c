"""Events: what the journal holds. Facts in the past tense, a closed union; unknown kinds are refused."""

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from usher.core.errors import Unreadable
from usher.core.messages import BackMessage, DeployId, MessageId, Millis
from usher.core.orders import DropOrder, Order, OrderDone, OrderId, RetryOrder, WithdrawOrder
from usher.core.versions import Versioned


class Outcome(StrEnum):
    """How a deploy ended. Interrupted is not failed: it was cut, costs nothing, and its messages wait again."""

    PASSED = "passed"
    FAILED = "failed"
    TIMED_OUT = "timed_out"
    INTERRUPTED = "interrupted"


class Barrier(Versioned):
    """A marker: whoever reads it has read everything that was in the journal before."""

    kind: Literal["journal.barrier"] = "journal.barrier"
    id: str


class DeployTaken(Versioned):
    """A holder of a server's turn asks for these messages; the board says whether it is granted."""

    kind: Literal["deploy.taken"] = "deploy.taken"
    deploy: DeployId
    server: str
    holder: str
    fence: Annotated[int, Field(ge=0, lt=2**63)]
    messages: tuple[MessageId, ...]
    taken_at: Millis


class DeployEnded(Versioned):
    """The result of a deploy, as it goes to the reply queue first and then to the journal.

    `standing` are the messages whose issues the command was given, `superseded` the ids of older ones that they
    stand for. `output` is the end of what the command printed; `cut` says that there was more (in the file `log`).
    """

    kind: Literal["deploy.ended"] = "deploy.ended"
    deploy: DeployId
    server: str
    outcome: Outcome
    reason: str
    exit_code: Annotated[int, Field(ge=-(2**31), lt=2**32)] | None
    rehearsed: bool
    command: tuple[str, ...]
    standing: tuple[BackMessage, ...]
    superseded: tuple[MessageId, ...]
    started_at: Millis
    ended_at: Millis
    output: str
    cut: bool
    log: str | None


class DeployInterrupted(Versioned):
    """A granted taking ended without a result: cut on a stop, or its holder lost the turn.

    If its holder's turn is over with it, `held` is the message that it had the turn with, and `returns` how often that
    had come back to its queue by then.
    """

    kind: Literal["deploy.interrupted"] = "deploy.interrupted"
    deploy: DeployId
    server: str
    by: str
    reason: str
    at: Millis
    held: MessageId | None = None
    returns: Annotated[int, Field(ge=0)] | None = None


class TurnGivenBack(Versioned):
    """A holder gave its turn back in order, without a deploy. The next holder need not wait, but for the `owes` ms of
    the take-over wait that this one had still to keep because of the holder before. `returns` is how often the message
    had come back to its queue by then: for any later holder than the next, this says nothing."""

    kind: Literal["turn.given_back"] = "turn.given_back"
    server: str
    message: MessageId
    holder: str
    owes: Annotated[int, Field(ge=0)] = 0
    returns: Annotated[int, Field(ge=0)] | None = None


class MessagesParked(Versioned):
    """What a failed deploy covered has been put into `usher.parked`: a person decides."""

    kind: Literal["messages.parked"] = "messages.parked"
    deploy: DeployId
    server: str
    messages: tuple[MessageId, ...]
    reason: str


class Retry(BaseModel):
    """A message that failed or was parked, and its next attempt, which is due at its `queued_at`."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    failed: MessageId
    next: BackMessage


class MessagesRetried(Versioned):
    """What failed is to be tried again: by the ladder, or at once by `order`, which `by` gave."""

    kind: Literal["messages.retried"] = "messages.retried"
    deploy: DeployId | None
    server: str
    retries: tuple[Retry, ...]
    reason: str
    by: str | None = None
    order: OrderId | None = None
    at: Millis


class MessagesWithdrawn(Versioned):
    """An order took these messages out of what is pending. For one that is being deployed, it takes effect only if
    that deploy does not pass."""

    kind: Literal["messages.withdrawn"] = "messages.withdrawn"
    server: str
    messages: tuple[MessageId, ...]
    by: str
    order: OrderId | None = None
    at: Millis


class WindowOpened(Versioned):
    """A holder of a server's turn keeps the window, which closes at `closes_at` if nothing more comes."""

    kind: Literal["window.opened"] = "window.opened"
    server: str
    message: MessageId
    holder: str
    closes_at: Millis
    at: Millis


Event = Annotated[
    BackMessage
    | Barrier
    | DeployTaken
    | DeployEnded
    | DeployInterrupted
    | TurnGivenBack
    | WindowOpened
    | MessagesParked
    | MessagesRetried
    | MessagesWithdrawn
    | WithdrawOrder
    | RetryOrder
    | DropOrder
    | OrderDone,
    Field(discriminator="kind"),
]

_EVENTS: TypeAdapter[Event] = TypeAdapter(Event)


def encode(event: Event) -> bytes:
    """An event as the JSON that travels."""
    return event.model_dump_json().encode()


def decode(body: bytes) -> Event:
    """What travelled to the event. Raises Unreadable for anything that is not exactly one."""
    try:
        return _EVENTS.validate_json(body)
    except ValidationError as invalid:
        error = invalid.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in error["loc"])
        raise Unreadable(why=f"{where}: {error['msg']}" if where else error["msg"]) from None


def decode_order(body: bytes) -> Order:
    """What the queue of orders holds to the order. Raises Unreadable."""
    event = decode(body)
    if not isinstance(event, WithdrawOrder | RetryOrder | DropOrder):
        raise Unreadable(why=f"{event.kind} is not an order")
    return event


def decode_message(body: bytes) -> BackMessage:
    """What a server's queue holds to the message. Raises Unreadable."""
    event = decode(body)
    if not isinstance(event, BackMessage):
        raise Unreadable(why=f"{event.kind} is not a message")
    return event
