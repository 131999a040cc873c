"""Decisions: what becomes of what a deploy covered that did not pass. It is tried again, or parked for a person.

A crash between any two steps is harmless: the journal learns first that a message is tried again, and last that one is
parked; ids follow from what was decided about, so that a decision that is made twice is the same one.
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
"""Messages that are being published at a time."""

TAIL = 2000
"""Characters of a command's output that go with what is parked: its end says why it failed."""


@dataclass(frozen=True, slots=True)
class Failure:
    """How a deploy did not pass; `output` is the end of what its command printed, if that is known."""

    deploy: str
    server: str
    outcome: Outcome
    exit_code: int | None
    reason: str
    output: str = ""

    @classmethod
    def of(cls, end: DeployEnded) -> "Failure":
        """As its result says it."""
        return cls(end.deploy, end.server, end.outcome, end.exit_code, end.reason, end.output)

    @classmethod
    def known(cls, server: str, failed: Failed) -> "Failure":
        """As the board remembers it."""
        return cls(failed.deploy, server, failed.outcome, failed.exit_code, failed.reason)


@dataclass(frozen=True, slots=True)
class Decided:
    """What is tried again, and what is parked."""

    again: tuple[Again, ...] = ()
    parked: tuple[BackMessage, ...] = ()


def undecided(server: ServerBoard, result: DeployEnded) -> tuple[BackMessage, ...]:
    """What is to be decided because of that result: by message, and nothing if another event ended its deploy.

    The reply queue is faster than the journal: while the board has the deploy running, the result says what failed.
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
        """Decide about what did not pass. `again` says that the result had been delivered before: what was done with it
        then may not have come to its end. Raises NotConfirmed or LinkLost."""
        failure = Failure.of(result)
        decided = await self.decide(failure, undecided(self._server(result.server), result))
        if again:
            await self._put_off(self._left(failure, result.standing))
        return decided

    async def decide(self, failure: Failure, messages: Sequence[BackMessage]) -> Decided:
        """Have each of these tried again by the ladder, or park it. Raises NotConfirmed or LinkLost."""
        now, ladder = self._clock.now(), self._ladder(failure.server)
        nexts = {m.id: ladder.after(m, failure.deploy, failure.outcome, failure.exit_code, now) for m in messages}
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
        await self._put_off(again for again in retries.values() if early or self._is_retrying(again))

    def _left(self, failure: Failure, messages: Iterable[BackMessage]) -> list[Again]:
        """What the journal has retrying because of that failure: whether a retry queue has it, too, is not known."""
        ladder, now = self._ladder(failure.server), self._clock.now()
        retried = (m for m in messages if self._journal.board.state(m.id) is State.RETRIED)
        nexts = (ladder.after(m, failure.deploy, failure.outcome, failure.exit_code, now) for m in retried)
        return [again for again in nexts if again and self._is_retrying(again)]

    async def _put_off(self, retries: Iterable[Again]) -> None:
        async def put(again: Again) -> None:
            less = self._settings.retries.jitter * random.random()  # noqa: S311 - jitter, not a secret
            await self._publisher.retry(again.message, again.delay, round(again.delay * (1 - less)))

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
        except UnknownServer:  # the settings have it no longer: nobody would deploy to it
            return Ladder(())

    @property
    def _board(self) -> Board:
        return self._journal.board

    def _server(self, name: str) -> ServerBoard:
        return self._board.server(name)


def _runs(server: ServerBoard, deploy: str) -> bool:
    return server.running is not None and server.running.event.deploy == deploy


async def each(things: Iterable[T], do: Callable[[T], Awaitable[None]]) -> None:
    """Do that with each of these, many at a time. The first error is raised once those beside it have ended."""
    left = list(things)
    for start in range(0, len(left), AT_ONCE):
        done = await asyncio.gather(*map(do, left[start : start + AT_ONCE]), return_exceptions=True)
        if error := next((what for what in done if isinstance(what, BaseException)), None):
            raise error
