"""The states of a message, and one message's change of state."""

from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    """The state of a message.

    `failed` lasts until the message is retried or parked. The next attempt of a `retried` message is a separate
    message. `parked` is not terminal: a person or a later deploy of the issue still decides.
    """

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
"""States in which a delivery of a message is acked. Retrying is not one of them: the retry queue can return a message
before the reader has seen the journal entry for it."""

TERMINAL = frozenset({State.RETRIED, State.SUPERSEDED, State.WITHDRAWN, State.DEPLOYED})
"""Terminal states: a message never leaves them, except that a pass turns retried into deployed."""


_MOVABLE = OPEN | {State.RETRYING}

BEFORE: dict[State, frozenset[State]] = {
    State.RETRYING: frozenset({State.RETRYING}),
    State.WAITING: _MOVABLE,
    State.DEPLOYING: _MOVABLE,
    State.FAILED: _MOVABLE,
    State.PARKED: _MOVABLE | {State.FAILED},
    State.RETRIED: _MOVABLE | {State.FAILED, State.PARKED},
    State.SUPERSEDED: _MOVABLE | {State.FAILED, State.PARKED},
    State.WITHDRAWN: _MOVABLE | {State.FAILED, State.PARKED},
    State.DEPLOYED: _MOVABLE | {State.FAILED, State.PARKED, State.RETRIED},
}
"""For each state, the states from which a message may enter it.

Only a decision or a later pass settles a failed or parked message. A settled message stays settled. A message that
passed is deployed, whatever was decided about it before.
"""


@dataclass(frozen=True, slots=True)
class Change:
    """A message entered a state. `deploy` is the cause; None for a newly read message and for an order."""

    message: str
    state: State
    deploy: str | None = None
