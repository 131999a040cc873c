"""The one rule of the ledger: a message's state never goes back."""

from usher.core.states import State

_OPEN = frozenset({State.WAITING, State.DEPLOYING, State.RETRYING})

BEFORE: dict[State, frozenset[State]] = {
    State.RETRYING: frozenset({State.RETRYING}),
    State.WAITING: _OPEN,
    State.DEPLOYING: _OPEN,
    State.FAILED: _OPEN,
    State.PARKED: _OPEN | {State.FAILED},
    State.RETRIED: _OPEN | {State.FAILED, State.PARKED},
    State.SUPERSEDED: _OPEN | {State.FAILED, State.PARKED},
    State.WITHDRAWN: _OPEN | {State.FAILED, State.PARKED},
    State.DEPLOYED: _OPEN | {State.FAILED, State.PARKED, State.RETRIED},
}
"""The states from which a message may come into that one: what has failed or is parked is settled only by a decision or
a later pass, what is settled stays so, and what has passed is deployed whatever was decided about it before."""


def may_become(before: State, state: State) -> bool:
    """Whether a message that is in the one state may come into the other."""
    return before in BEFORE[state]
