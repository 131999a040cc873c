"""What the board keeps of a message that waits or has failed, and of a server's deploys."""

from dataclasses import dataclass

from usher.core.events import DeployEnded, DeployInterrupted, DeployTaken, Outcome
from usher.core.messages import BackMessage
from usher.core.states import State


@dataclass(slots=True)
class Waiting:
    """A message that has still to be deployed. `arrived_at` (ms) is its `queued_at`, or when it was read if that is
    earlier: a time in the future counts as now. `withdrawn` counts if the deploy that covers it does not pass."""

    message: BackMessage
    arrived_at: int
    deploying: bool = False
    withdrawn: bool = False


@dataclass(frozen=True, slots=True)
class Taking:
    """A granted taking. `batch` are those of its messages that waited; `read_at` is the reader's own clock (s)."""

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
        """What the board keeps of an end."""
        if isinstance(end, DeployEnded):
            return cls(end.deploy, end.outcome, end.ended_at, end.rehearsed)
        return cls(end.deploy, Outcome.INTERRUPTED, end.at)


@dataclass(frozen=True, slots=True)
class Failed:
    """A message that a deploy covered which did not pass, and which is not decided about yet, or is parked."""

    message: BackMessage
    deploy: str
    outcome: Outcome
    exit_code: int | None
    reason: str
    parked: bool = False


@dataclass(frozen=True, slots=True)
class Unsettled:
    """A message that is not settled, and its state. `deploy` is the one that covers it, or in which it failed."""

    message: BackMessage
    state: State
    deploy: str | None = None
