"""The states of a message, and one message's change of state."""

from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    """Where a message is. `failed` is owned by a failed result until that is retried or parked; `retried` has a next
    attempt, which is another message. The last states are superseded, withdrawn and deployed; parked is one unless a
    person or a later pass decides otherwise."""

    WAITING = "waiting"
    DEPLOYING = "deploying"
    FAILED = "failed"
    RETRYING = "retrying"
    RETRIED = "retried"
    PARKED = "parked"
    SUPERSEDED = "superseded"
    WITHDRAWN = "withdrawn"
    DEPLOYED = "deployed"


OPEN = frozenset({State.WAITING, State.DEPLOYING})
"""States in which a message still has to be deployed."""

SETTLED = frozenset(State) - OPEN - {State.RETRYING}
"""States in which a delivery of a message is acked. One that is still retrying has been told again already: its queue
was faster than the journal."""

LAST = frozenset({State.RETRIED, State.SUPERSEDED, State.WITHDRAWN, State.DEPLOYED})
"""States which a message never leaves."""


@dataclass(frozen=True, slots=True)
class Change:
    """A message came into a state, by a deploy or (a message just read, an order) by none."""

    message: str
    state: State
    deploy: str | None = None
