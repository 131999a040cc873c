"""Events: the entries of the journal. They are facts in the past tense. A reader skips what it cannot decode."""

from enum import StrEnum
from functools import lru_cache
from typing import Annotated, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter
from pydantic_core import to_json

from usher.core.errors import Unreadable
from usher.core.messages import BackMessage, DeployId, MessageId, Millis
from usher.core.orders import (
    AbortOrder,
    DropOrder,
    HoldExpired,
    HoldOrder,
    Order,
    OrderDone,
    OrderId,
    ReleaseOrder,
    RetryOrder,
    WithdrawOrder,
)
from usher.core.versions import Versioned, decoded

MAX_PIDS = 100
"""How many processes of a stuck command an event names."""


class Outcome(StrEnum):
    """How a deploy ended. An interrupted deploy was killed. It costs no attempt, and its messages wait again."""

    PASSED = "passed"
    FAILED = "failed"
    TIMED_OUT = "timed_out"
    INTERRUPTED = "interrupted"


class Barrier(Versioned):
    """A marker: a reader that has read it has read everything before it."""

    kind: Literal["journal.barrier"] = "journal.barrier"
    id: str


class DeployTaken(Versioned):
    """The holder of a server's turn asks to deploy these messages. The board decides whether that is granted."""

    kind: Literal["deploy.taken"] = "deploy.taken"
    deploy: DeployId
    server: str
    holder: str
    fence: Annotated[int, Field(ge=0, lt=2**63)]
    messages: tuple[MessageId, ...]
    taken_at: Millis


class DeployEnded(Versioned):
    """The result of a deploy. It is published to the reply queue first, and then to the journal.

    `standing` are the messages whose issues the command was given. `superseded` are the ids of the older messages
    that they replace. `output` is the end of the command's output. If `truncated`, there was more (in the file `log`).
    `held` is the message of the turn, which this ends, and `delivery_count` is that of the message.
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
    truncated: bool
    log: str | None
    held: MessageId | None = None
    delivery_count: Annotated[int, Field(ge=0)] | None = None


class DeployInterrupted(Versioned):
    """A granted taking ended without a result: its command was killed on a stop, or its holder lost the turn.

    If this also ends the turn, `held` is the message of that turn, and `delivery_count` is that of the message at
    that time. `gone` means that no process of the command is left. Only that ends a stuck deploy.
    """

    kind: Literal["deploy.interrupted"] = "deploy.interrupted"
    deploy: DeployId
    server: str
    by: str
    reason: str
    at: Millis
    held: MessageId | None = None
    delivery_count: Annotated[int, Field(ge=0)] | None = None
    gone: bool = False


class DeployStuck(Versioned):
    """The command of a deploy cannot be killed: its processes belong to another user, or are stuck in the kernel.

    No other command of the server may start until none of its processes is left: see `DeployInterrupted.gone`. `by` is
    the process of Usher that says so, on the machine where the command runs. `pids` are the processes, and `user` is
    whose they are.
    """

    needs: ClassVar[int] = 2

    kind: Literal["deploy.stuck"] = "deploy.stuck"
    deploy: DeployId
    server: str
    by: str
    reason: str
    pids: Annotated[tuple[int, ...], Field(max_length=MAX_PIDS)] = ()
    user: str = ""
    at: Millis


class TurnGivenBack(Versioned):
    """A holder gave its turn back cleanly, without a deploy.

    The next holder waits only `wait_left` (ms), the remainder of this holder's take-over wait. `delivery_count` is that
    of the message at that time. The event applies to the next delivery only.
    """

    kind: Literal["turn.given_back"] = "turn.given_back"
    server: str
    message: MessageId
    holder: str
    wait_left: Annotated[int, Field(ge=0)] = 0
    delivery_count: Annotated[int, Field(ge=0)] | None = None


class MessagesParked(Versioned):
    """Messages of a failed deploy have been put into `usher.parked`. A person decides what happens to them."""

    kind: Literal["messages.parked"] = "messages.parked"
    deploy: DeployId
    server: str
    messages: tuple[MessageId, ...]
    reason: str


class Retry(BaseModel):
    """A message that failed or was parked, and its next attempt, which is due at the `queued_at` of `next`."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    failed: MessageId
    next: BackMessage


class MessagesRetried(Versioned):
    """Failed messages will be retried: on the retry schedule, or immediately because of `order`, which `by` gave."""

    kind: Literal["messages.retried"] = "messages.retried"
    deploy: DeployId | None
    server: str
    retries: tuple[Retry, ...]
    reason: str
    by: str | None = None
    order: OrderId | None = None
    at: Millis


class MessagesWithdrawn(Versioned):
    """An order withdrew these messages. For a message that is being deployed, it takes effect only if that deploy does
    not pass."""

    kind: Literal["messages.withdrawn"] = "messages.withdrawn"
    server: str
    messages: tuple[MessageId, ...]
    by: str
    order: OrderId | None = None
    at: Millis


class WindowOpened(Versioned):
    """The holder of a server's turn keeps the window. It closes at `closes_at` if no other message arrives."""

    kind: Literal["window.opened"] = "window.opened"
    server: str
    message: MessageId
    holder: str
    closes_at: Millis
    at: Millis


class TakeoverWaited(Versioned):
    """The holder of a server's turn waits until `until` (ms): a command of a lost holder may be running until then.

    `deploy` is the deploy of that holder, if it is known. This changes nothing; it is for people to see.
    """

    kind: Literal["turn.takeover_waited"] = "turn.takeover_waited"
    server: str
    holder: str
    deploy: DeployId | None
    until: Millis
    at: Millis


Event = Annotated[
    BackMessage
    | Barrier
    | DeployTaken
    | DeployEnded
    | DeployInterrupted
    | DeployStuck
    | TurnGivenBack
    | WindowOpened
    | TakeoverWaited
    | MessagesParked
    | MessagesRetried
    | MessagesWithdrawn
    | WithdrawOrder
    | RetryOrder
    | DropOrder
    | AbortOrder
    | HoldOrder
    | ReleaseOrder
    | HoldExpired
    | OrderDone,
    Field(discriminator="kind"),
]

SMALL = 1024
"""The maximum size (bytes) of an encoded event that readers share. Messages are smaller, and results may be larger."""

_EVENTS: TypeAdapter[Event] = TypeAdapter(Event)


def encode(event: Versioned | BackMessage) -> bytes:
    """Encode an event, or anything else that is published, as JSON."""
    return to_json(event)


def decode(body: bytes) -> Event:
    """Decode an event from JSON. Raises Unreadable if the body is anything else."""
    return _shared(body) if len(body) <= SMALL else decoded(_EVENTS, body)


@lru_cache(4096)
def _shared(body: bytes) -> Event:
    """The readers of one process read the same entries at about the same time. So each small one is decoded once, and
    each pending message is held once. Events are immutable."""
    return decoded(_EVENTS, body)


def decode_order(body: bytes) -> Order:
    """Decode an order from the orders queue. Raises Unreadable."""
    event = decode(body)
    if not isinstance(event, Order):
        raise Unreadable(why=f"{event.kind} is not an order")
    return event


def decode_message(body: bytes) -> BackMessage:
    """Decode a message from a server's queue. Raises Unreadable."""
    event = decode(body)
    if not isinstance(event, BackMessage):
        raise Unreadable(why=f"{event.kind} is not a message")
    return event
