"""Decisions: after a deploy that did not pass, each of its messages is retried, or parked for a person.

A crash between any two steps is harmless. A retry is written to the journal first, and a parking last. The ids of next
attempts are derived, so making the same decision twice changes nothing.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from usher.broker.journal import Journal
from usher.broker.publisher import Publisher
from usher.core.board.board import Board
from usher.core.board.entries import Failed
from usher.core.board.server import ServerBoard
from usher.core.errors import UnknownServer
from usher.core.events import DeployEnded, MessagesParked, MessagesRetried, Outcome, Retry, encode
from usher.core.messages import BackMessage
from usher.core.retries import Again, Ladder
from usher.core.states import State
from usher.runtime.clock import Clock
from usher.settings import Settings

T = TypeVar("T")

AT_ONCE = 100
"""How many messages are published concurrently."""

TAIL = 2000
"""Characters of output that are kept with a parked message: the end usually says why the command failed."""


@dataclass(frozen=True, slots=True)
class Failure:
    """How a deploy failed to pass. `output` is the end of its command's output, if that is known."""

    deploy: str
    server: str
    outcome: Outcome
    exit_code: int | None
    reason: str
    output: str = ""

    @classmethod
    def of(cls, end: DeployEnded) -> "Failure":
        """The failure that a result describes."""
        return cls(end.deploy, end.server, end.outcome, end.exit_code, end.reason, end.output)

    @classmethod
    def known(cls, server: str, failed: Failed) -> "Failure":
        """The failure that the board remembers for a message."""
        return cls(failed.deploy, server, failed.outcome, failed.exit_code, failed.reason)


@dataclass(frozen=True, slots=True)
class Decided:
    """What is retried, and what is parked."""

    again: tuple[Again, ...] = ()
    parked: tuple[BackMessage, ...] = ()


def undecided(server: ServerBoard, result: DeployEnded) -> tuple[BackMessage, ...]:
    """The messages to decide about because of that result; none if another event ended its deploy.

    The result may arrive before its copy in the journal. While the deploy still runs on the board, the result says
    which messages failed.
    """
    if _runs(server, result.deploy):
        covered = ((message, server.open.get(message.id)) for message in result.standing)
        return tuple(m for m, entry in covered if entry and entry.deploying and not entry.withdrawn)
    return tuple(failed.message for failed in server.undecided if failed.deploy == result.deploy)


class Decisions:
    """Makes decisions, for one connection."""

    def __init__(self, settings: Settings, journal: Journal, publisher: Publisher, clock: Clock) -> None:
        self._settings = settings
        self._journal = journal
        self._publisher = publisher
        self._clock = clock

    async def about(self, result: DeployEnded, *, again: bool) -> Decided:
        """Decide about the messages of a result that did not pass. With `again`, the result was delivered before, and
        its handling may be incomplete. Raises NotConfirmed or LinkLost."""
        failure = Failure.of(result)
        decided = await self.decide(failure, undecided(self._server(result.server), result))
        if again:
            await self._postpone(self._retrying(failure, result.standing))
        return decided

    async def decide(self, failure: Failure, messages: Sequence[BackMessage]) -> Decided:
        """Retry each message as its retry schedule says, or park it. Raises NotConfirmed or LinkLost."""
        now, ladder = self._clock.now(), self._ladder(failure.server)
        # the same for all messages of a deploy, so that they are deployed together again
        shortened = self._settings.retries.jitter * random.random()  # noqa: S311 - jitter, not a secret
        facts = failure.deploy, failure.outcome, failure.exit_code
        nexts = {message.id: ladder.after(message, *facts, now, shortened) for message in messages}
        retries = {m: again for m, again in nexts.items() if again}
        if retries:
            await self._retry(failure, retries, now)
        parked = tuple(message for message in messages if nexts[message.id] is None)
        if parked:
            await self._park(failure, parked)
        return Decided(tuple(retries.values()), parked)

    async def _retry(self, failure: Failure, retries: dict[str, Again], now: int) -> None:
        event = MessagesRetried(
            deploy=failure.deploy,
            server=failure.server,
            retries=tuple(Retry(failed=m, next=again.message) for m, again in retries.items()),
            reason=failure.reason,
            at=now,
        )
        await self._journal.append(event)
        early = _runs(self._server(failure.server), failure.deploy)
        await self._postpone(again for again in retries.values() if early or self._is_retrying(again))

    def _retrying(self, failure: Failure, messages: Iterable[BackMessage]) -> list[Again]:
        """The retries because of that failure that are in the journal, but perhaps not in a retry queue."""
        ladder, now = self._ladder(failure.server), self._clock.now()
        retried = (m for m in messages if self._journal.board.state(m.id) is State.RETRIED)
        nexts = (ladder.after(m, failure.deploy, failure.outcome, failure.exit_code, now) for m in retried)
        retrying = self._server(failure.server).retrying
        # only the journal knows when they are due
        return [Again(retrying[n.message.id], n.delay) for n in nexts if n and n.message.id in retrying]

    async def _postpone(self, retries: Iterable[Again]) -> None:
        now = self._clock.now()

        async def put(again: Again) -> None:
            left = min(max(again.message.queued_at - now, 1), again.delay)
            await self._publisher.retry(again.message, again.delay, left)

        await each(retries, put)

    async def _park(self, failure: Failure, messages: tuple[BackMessage, ...]) -> None:
        async def put(message: BackMessage) -> None:
            await self._publisher.park(
                encode(message),
                message.id,
                failure.reason,
                deploy=failure.deploy,
                outcome=failure.outcome,
                output=failure.output[-TAIL:],
            )

        await each(messages, put)
        ids = tuple(message.id for message in messages)
        await self._journal.append(
            MessagesParked(deploy=failure.deploy, server=failure.server, messages=ids, reason=failure.reason)
        )

    def _is_retrying(self, again: Again) -> bool:
        return self._board.state(again.message.id) is State.RETRYING

    def _ladder(self, server: str) -> Ladder:
        try:
            return self._settings.retries.ladder(self._settings.catalogue.named(server))
        except UnknownServer:  # no longer in the settings, so nobody would deploy to it
            return Ladder(())

    @property
    def _board(self) -> Board:
        return self._journal.board

    def _server(self, name: str) -> ServerBoard:
        return self._board.server(name)


def _runs(server: ServerBoard, deploy: str) -> bool:
    return server.running is not None and server.running.event.deploy == deploy


async def each(things: Iterable[T], do: Callable[[T], Awaitable[None]]) -> None:
    """Call `do` for each of these, in concurrent groups. The first error of a group is raised when the group ends."""
    remaining = list(things)
    for start in range(0, len(remaining), AT_ONCE):
        results = await asyncio.gather(*map(do, remaining[start : start + AT_ONCE]), return_exceptions=True)
        if error := next((result for result in results if isinstance(result, BaseException)), None):
            raise error
