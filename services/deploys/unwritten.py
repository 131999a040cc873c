"""Unwritten outcomes: ends of deploys, or that a command is stuck, that are not in the journal yet."""

from contextlib import suppress

from usher.broker.journal import Journal
from usher.broker.publisher import Publisher
from usher.core.events import DeployEnded, DeployInterrupted, DeployStuck
from usher.core.versions import NotUnderstood

Outcome = DeployEnded | DeployInterrupted | DeployStuck


class Unwritten:
    """At most one outcome per server. It survives lost connections, and is written before the server's next turn."""

    def __init__(self) -> None:
        self._outcomes: dict[str, Outcome] = {}

    def add(self, outcome: Outcome) -> None:
        """Keep an outcome until it is written."""
        self._outcomes[outcome.server] = outcome

    def deploys(self) -> tuple[str, ...]:
        """The ids of the deploys whose outcomes are not written yet."""
        return tuple(outcome.deploy for outcome in self._outcomes.values())

    async def write(self, server: str, journal: Journal, publisher: Publisher) -> None:
        """Write the server's outcome, if there is one, and read it back.

        A result goes to the reply queue first, then to the journal: in the other order, a crash between the two would
        lose it. Raises NotConfirmed or LinkLost, and then keeps the outcome. If our reader has halted, the outcome
        cannot be read back, but it is in the journal for readers that understand it.
        """
        outcome = self._outcomes.get(server)
        if outcome is None:
            return
        if isinstance(outcome, DeployEnded):
            await publisher.result(outcome, outcome.deploy)
        with suppress(NotUnderstood):
            await journal.append(outcome)
        del self._outcomes[server]
