"""Unwritten outcomes: how a deploy ended, when that could not be written to the journal at once."""

from contextlib import suppress

from usher.broker.journal import Journal
from usher.broker.publisher import Publisher
from usher.core.events import DeployEnded, DeployInterrupted
from usher.core.versions import NotUnderstood


class Unwritten:
    """At most one outcome per server, kept across lost connections. It is written before the server's next turn."""

    def __init__(self) -> None:
        self._outcomes: dict[str, DeployEnded | DeployInterrupted] = {}

    def add(self, outcome: DeployEnded | DeployInterrupted) -> None:
        """Keep an outcome until it is written."""
        self._outcomes[outcome.server] = outcome

    def deploys(self) -> tuple[str, ...]:
        """The ids of the deploys whose outcome is not written yet."""
        return tuple(outcome.deploy for outcome in self._outcomes.values())

    async def write(self, server: str, journal: Journal, publisher: Publisher) -> None:
        """Write the server's outcome, if there is one: a result to the reply queue, then to the journal; read it back.

        The other order would lose the result in a crash between the two. Raises NotConfirmed or LinkLost, and then
        keeps the outcome. A reader that has halted cannot read the outcome back, but those who understand the journal
        can.
        """
        outcome = self._outcomes.get(server)
        if outcome is None:
            return
        if isinstance(outcome, DeployEnded):
            await publisher.result(outcome, outcome.deploy)
        with suppress(NotUnderstood):
            await journal.append(outcome)
        del self._outcomes[server]
