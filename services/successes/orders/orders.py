"""Orders about what failed: try it again at once, or drop what is parked. Each says what it did, and why not the rest.

An order is written into the journal with who gave it, and what the journal then grants is done: so an order that is
given twice, also at two replicas, is carried out once.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass

from successes.ledger.follower import Follower
from successes.ledger.ledger import Ledger
from successes.ledger.queries import find_covered, find_deploy
from successes.orders.refusals import Refusals
from successes.results.decisions import each
from usher.api.types import LeftMessage, Ordered, OrderedMessage
from usher.broker.journal import Journal
from usher.broker.publisher import Publisher
from usher.core.board.server import ServerBoard
from usher.core.errors import BrokerError, UsherError
from usher.core.events import MessagesRetried, MessagesWithdrawn, Outcome, Retry
from usher.core.issues import Issue
from usher.core.messages import BackMessage
from usher.core.states import State
from usher.runtime.clock import Clock

log = logging.getLogger(__name__)

SECONDS = 10.0
AT_ONCE = 1000
"""Messages that one event names, so that it stays small."""

_AGAIN = "; ask again soon: an order that is given twice does no harm"


class UnknownDeploy(UsherError):
    """no deploy {deploy} is known; /api/deploys lists them"""


class NothingToRetry(UsherError):
    """deploy {deploy} has nothing to try again: {why}"""


@dataclass(frozen=True, slots=True)
class Selection:
    """What an order is about: these issues (none: all of them) on these servers; `by` is who gives it."""

    servers: tuple[str, ...]
    issues: tuple[Issue, ...]
    by: str


class Orders:
    """Carries orders out while `journal` and `publisher` are set, which is as long as the journal is caught up with."""

    def __init__(self, ledger: Ledger, follower: Follower, clock: Clock) -> None:
        self.journal: Journal | None = None
        self.publisher: Publisher | None = None
        self._ledger = ledger
        self._follower = follower
        self._clock = clock

    async def retry_parked(self, selection: Selection) -> Ordered:
        """Try again what is parked, and of issues that are named what is to be tried again later. Raises BrokerError or
        LedgerFault, and then it may not have been done."""

        async def carry_out(carrier: "_Carrier") -> Ordered:
            now = self._clock.now()
            meant = {s: list(_retriable(carrier.server(s), selection.issues, now)) for s in selection.servers}
            return await self._answer("retry", carrier, selection, await carrier.retry(meant, selection.by))

        return await self._carry_out(carry_out)

    async def drop_parked(self, selection: Selection) -> Ordered:
        """Withdraw what is parked. Raises as `retry_parked` does."""

        async def carry_out(carrier: "_Carrier") -> Ordered:
            meant = {s: list(_parked(carrier.server(s), selection.issues)) for s in selection.servers}
            return await self._answer("drop", carrier, selection, await carrier.drop(meant, selection.by))

        return await self._carry_out(carry_out)

    async def retry_deploy(self, deploy: str, by: str) -> Ordered:
        """Try again what a deploy covered and did not pass since. Raises UnknownDeploy or NothingToRetry, too."""

        async def carry_out(carrier: "_Carrier") -> Ordered:
            server, moves = await asyncio.to_thread(self._covered, deploy)
            meant = [message for message in _failed(carrier.server(server)) if message.move in moves]
            done = await carrier.retry({server: meant}, by, deploy)
            selection = Selection((server,), tuple(sorted(set(moves.values()))), by)
            answer = await self._answer("retry", carrier, selection, done)
            if not answer.messages:
                raise NothingToRetry(deploy=deploy, why="; ".join(f"{left.issue} {left.why}" for left in answer.left))
            return answer

        return await self._carry_out(carry_out)

    async def _carry_out(self, carry_out: Callable[["_Carrier"], Awaitable[Ordered]]) -> Ordered:
        if self.journal is None or self.publisher is None:
            raise BrokerError(why=f"the journal is not read to its end yet{_AGAIN}")
        try:
            async with asyncio.timeout(SECONDS):
                await self.journal.barrier()
                await self._follower.flush()
                return await carry_out(_Carrier(self.journal, self.publisher, self._clock))
        except TimeoutError:
            raise BrokerError(why=f"the journal brought no answer in {SECONDS:.0f} s{_AGAIN}") from None
        except BrokerError as fault:
            raise BrokerError(why=f"{fault}{_AGAIN}") from None

    def _covered(self, deploy: str) -> tuple[str, dict[str, Issue]]:
        """The server of a deploy that did not pass, and the moves that it covered, each with its issue."""
        with self._ledger.reading() as connection:
            found = find_deploy(connection, deploy, rehearses=False)
            if found is None:
                raise UnknownDeploy(deploy=ascii(deploy)[:40])
            if found.outcome in (None, Outcome.PASSED):
                raise NothingToRetry(deploy=deploy, why="it passed" if found.outcome else "it still runs")
            return found.server, find_covered(connection, deploy)

    async def _answer(
        self, order: str, carrier: "_Carrier", selection: Selection, done: Sequence[OrderedMessage]
    ) -> Ordered:
        """What came of an order; why nothing came of the issues that it named is looked for in board and ledger."""
        found = {message.issue for message in done}
        missing = [issue for issue in selection.issues if issue not in found]
        left: list[LeftMessage] = []
        if missing:
            await self._follower.flush()
            reasons = Refusals(self._ledger, carrier.board, selection.servers)
            left = await asyncio.to_thread(lambda: [one for issue in missing for one in reasons.of(issue)])
        return Ordered(order=order, messages=tuple(done), left=tuple(left))


class _Carrier:
    """Writes an order into the journal, and does what is granted."""

    def __init__(self, journal: Journal, publisher: Publisher, clock: Clock) -> None:
        self._journal = journal
        self._publisher = publisher
        self._clock = clock
        self.board = journal.board

    def server(self, name: str) -> ServerBoard:
        return self.board.server(name)

    async def retry(
        self, meant: dict[str, list[BackMessage]], by: str, deploy: str | None = None
    ) -> list[OrderedMessage]:
        """Try these messages of each server again at once. Returns their next attempts."""
        done: list[BackMessage] = []
        for server, some in _portions(meant):
            now = self._clock.now()
            # what was to be tried again has not lost that attempt
            nexts = {m.id: m.again(now, postponed=self.board.state(m.id) is State.RETRYING) for m in some}
            retries = tuple(Retry(failed=m, next=following) for m, following in nexts.items())
            changes = await self._journal.append(
                MessagesRetried(deploy=deploy, server=server, retries=retries, reason="ordered", by=by, at=now)
            )
            granted = {change.message for change in changes if change.state is State.RETRYING}
            again = [following for following in nexts.values() if following.id in granted]
            await each(again, self._publisher.message)
            log.info("%s had %d messages of %s tried again", by, len(again), server)
            done += again
        if done:
            await self._journal.barrier()
        return [_ordered(message) for message in done]

    async def drop(self, meant: dict[str, list[BackMessage]], by: str) -> list[OrderedMessage]:
        """Withdraw these messages of each server. Returns those that are withdrawn now."""
        done: list[OrderedMessage] = []
        for server, some in _portions(meant):
            order = MessagesWithdrawn(server=server, messages=tuple(m.id for m in some), by=by, at=self._clock.now())
            gone = {c.message for c in await self._journal.append(order) if c.state is State.WITHDRAWN}
            log.info("%s dropped %d parked messages of %s", by, len(gone), server)
            done += [_ordered(message) for message in some if message.id in gone]
        return done


def _ordered(message: BackMessage) -> OrderedMessage:
    return OrderedMessage(id=message.id, issue=message.issue, server=message.server, attempt=message.attempt)


def _portions(meant: dict[str, list[BackMessage]]) -> Iterator[tuple[str, list[BackMessage]]]:
    for server, messages in meant.items():
        for start in range(0, len(messages), AT_ONCE):
            yield server, messages[start : start + AT_ONCE]


def _parked(server: ServerBoard, issues: Collection[Issue]) -> Iterable[BackMessage]:
    return (entry.message for entry in server.parked if not issues or entry.message.issue in issues)


def _retriable(server: ServerBoard, issues: Collection[Issue], now: int) -> Iterator[BackMessage]:
    """What is parked; and of what is to be tried again, the issues that are named, and what should be here already."""
    yield from _parked(server, issues)
    for message in server.retrying.values():
        if message.issue in issues or (not issues and message.queued_at <= now):
            yield message


def _failed(server: ServerBoard) -> Iterator[BackMessage]:
    return (m.message for m in server.messages() if m.state in (State.FAILED, State.PARKED, State.RETRYING))
