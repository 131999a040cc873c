"""Bugs in how results are published."""

from typing import Any

from crashes.mutations.planting import Method, instead, mutation, put
from deploys import deploy, jobs
from deploys.jobs import Finished, How
from deploys.turn import Turn
from deploys.unwritten import Unwritten
from usher.broker.journal import Journal
from usher.core.events import DeployEnded


@mutation("2: a crash between the ack and the result loses the messages of the deploy")
def ack_before_the_result_is_confirmed() -> None:
    held: dict[str, Any] = {}

    def make(real: Method) -> Method:
        async def write(self: Unwritten, server: str, journal: Journal, publisher: Any) -> None:
            if server in self._outcomes and (delivery := held.get(server)):
                await delivery.ack()
            await real(self, server, journal, publisher)

        return write

    _remember(held)
    instead(Unwritten, "write", make)


def _remember(held: dict[str, Any]) -> None:
    def make(real: Method) -> Method:
        async def advance(self: Turn, message: Any) -> None:
            held[self._server.name] = self._delivery
            await real(self, message)

        return advance

    instead(Turn, "_advance", make)


@mutation("2: a result that the journal loses is lost permanently", calm=True)
def result_only_in_the_journal() -> None:
    async def write(self: Unwritten, server: str, journal: Journal, publisher: Any) -> None:
        if end := self._outcomes.get(server):
            await journal.append(end)
            del self._outcomes[server]

    Unwritten.write = write  # type: ignore[method-assign]


@mutation("2: a crash between the journal and the reply queue loses the result")
def journal_before_the_reply_queue() -> None:
    async def write(self: Unwritten, server: str, journal: Journal, publisher: Any) -> None:
        if end := self._outcomes.get(server):
            await journal.append(end)
            if isinstance(end, DeployEnded):
                await publisher.result(end, end.deploy)
            del self._outcomes[server]

    Unwritten.write = write  # type: ignore[method-assign]


@mutation("7: a killed command counts as failed, and costs an attempt")
def interrupted_counted_as_failed() -> None:
    def make(real: Method) -> Method:
        def end_of(taken: Any, batch: Any, job: Any, finished: Finished, **more: Any) -> Any:
            if finished.how is How.KILLED:
                finished = Finished(How.EXITED, finished.reason, 1)
            return real(taken, batch, job, finished, **more)

        return end_of

    put(deploy, "end_of", make(jobs.end_of))
