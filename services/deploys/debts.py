"""What this process owes the journal: how a taking ended, when it could not be written at once."""

from usher.broker.journal import Journal
from usher.broker.publisher import Publisher
from usher.events import DeployEnded, DeployInterrupted


class Debts:
    """At most one end per server, kept over lost connections. A server's debt is paid before its next turn."""

    def __init__(self) -> None:
        self._owed: dict[str, DeployEnded | DeployInterrupted] = {}

    def owe(self, end: DeployEnded | DeployInterrupted) -> None:
        """Have that end written as soon as can be."""
        self._owed[end.server] = end

    def unpaid(self) -> tuple[str, ...]:
        """The deploys whose end is still owed."""
        return tuple(end.deploy for end in self._owed.values())

    async def pay(self, server: str, journal: Journal, publisher: Publisher) -> None:
        """Write what is owed for that server: a result to the reply queue first, then to the journal; and read it.

        The other way round, a crash in between would lose the result. Raises NotConfirmed or LinkLost; it is then
        still owed.
        """
        end = self._owed.get(server)
        if end is None:
            return
        if isinstance(end, DeployEnded):
            await publisher.result(end, end.deploy)
        await journal.append(end)
        del self._owed[server]
