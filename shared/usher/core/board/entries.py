"""The board's entries: open and failed messages, and deploys of a server."""

from dataclasses import dataclass

from usher.core.events import DeployEnded, DeployInterrupted, DeployTaken, Outcome
from usher.core.messages import BackMessage
from usher.core.states import State


@dataclass(slots=True)
class Waiting:
    """A message that still has to be deployed.

    `arrived_at` (ms) is its `queued_at`, or the time at which it was read if that is earlier: a time in the future
    counts as now. `withdrawn` takes effect only if the deploy that covers the message does not pass.
    """

    message: BackMessage
    arrived_at: int
    deploying: bool = False
    withdrawn: bool = False


@dataclass(frozen=True, slots=True)
class Taking:
    """A granted taking. `batch` are those of its messages that were waiting.

    `read_at` is when it was read, on the reader's monotonic clock (s).
    """

    event: DeployTaken
    batch: tuple[BackMessage, ...]
    read_at: float


@dataclass(frozen=True, slots=True)
class Ended:
    """How the last deploy ended, at `at` (ms)."""

    deploy: str
    outcome: Outcome
    at: int
    rehearsed: bool = False

    @classmethod
    def of(cls, end: DeployEnded | DeployInterrupted) -> "Ended":
        """The entry for this result or interruption."""
        if isinstance(end, DeployEnded):
            return cls(end.deploy, end.outcome, end.ended_at, end.rehearsed)
        return cls(end.deploy, Outcome.INTERRUPTED, end.at)


@dataclass(frozen=True, slots=True)
class Failed:
    """A message whose deploy did not pass. It is parked, or nothing has been decided about it yet."""

    message: BackMessage
    deploy: str
    outcome: Outcome
    exit_code: int | None
    reason: str
    parked: bool = False


@dataclass(frozen=True, slots=True)
class Unsettled:
    """A message that is not settled, and its state. `deploy` covers it, or is the deploy in which it failed."""

    message: BackMessage
    state: State
    deploy: str | None = None
