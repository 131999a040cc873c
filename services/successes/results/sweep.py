"""The sweep: open messages that no queue delivers are re-published with the same id, and missing decisions are made.

There are such messages after the broker accepted a message for the journal but not for its queue, after somebody
purged a queue, and after the journal lost the end of a deploy. In the last case, whoever receives a message of that
deploy ends it. Publishing a message twice is harmless: the second copy is acked as known.
"""

import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

from successes.results.decisions import Decisions, Failure
from usher.broker.journal import Journal
from usher.broker.publisher import Publisher
from usher.core.board.board import Board
from usher.core.board.entries import Failed
from usher.core.board.server import ServerBoard
from usher.core.errors import NotConfirmed
from usher.core.events import Event
from usher.core.messages import BackMessage
from usher.core.states import Change, State
from usher.core.windows import Window
from usher.runtime.clock import Clock

log = logging.getLogger(__name__)

CHECKS = 4
"""How many checks there are in the time after which a message is swept."""

DOUBLINGS = 10
"""How often the time between two sweeps of a message doubles."""


@dataclass(slots=True)
class Heard:
    """When the journal last mentioned a server or a failed message (ms), and how often each message was swept.

    `since` is when the reader had caught up with the journal.
    """

    since: int = 0
    servers: dict[str, int] = field(default_factory=dict)
    failed: dict[str, int] = field(default_factory=dict)
    swept: dict[str, int] = field(default_factory=dict)

    def observe(self, event: Event, changes: Iterable[Change], now: int) -> None:
        """Record an event that was read at `now`, and its changes."""
        if server := getattr(event, "server", None):
            self.servers[server] = now
        for change in changes:
            if change.state is State.FAILED:
                self.failed[change.message] = now
            else:
                self.failed.pop(change.message, None)

    def hold(self, board: Board, now: int) -> None:
        """A held server has no news, and nothing is missing: after its release, the time without news starts anew."""
        for name in board:
            oldest = board.server(name).oldest
            if oldest and not board.server(name).running and board.orders.holds.stop(oldest.place):
                self.servers[name] = now

    def wait_before_sweep(self, message: BackMessage, span: int) -> int:
        """How long (ms) there must be no news before that message is swept: `span` at first, then doubled each time."""
        return span << min(self.swept.get(message.id, 0), DOUBLINGS)

    def forget(self, board: Board) -> None:
        """Forget the sweeps of messages that are no longer open."""
        transient = (State.WAITING, State.DEPLOYING, State.RETRYING)
        self.swept = {m: times for m, times in self.swept.items() if board.state(m) in transient}


@dataclass(frozen=True, slots=True)
class Due:
    """What to sweep: messages that wait, messages whose retry is overdue, and failures without a decision."""

    waiting: tuple[BackMessage, ...] = ()
    returning: tuple[BackMessage, ...] = ()
    undecided: tuple[tuple[str, Failed], ...] = ()


def due(board: Board, servers: Iterable[str], heard: Heard, window: Window, span: int, longest: int, now: int) -> Due:
    """What to sweep on these servers at `now`: anything without news for `span` (ms).

    While a deploy runs, the longest time that it may take (`longest`, ms) is added. While one is stuck, nothing is
    swept. Of the messages that wait, the oldest one per server is enough, because whoever receives it takes the others
    too. For the same message, the time doubles with each sweep.
    """
    waiting: list[BackMessage] = []
    returning: list[BackMessage] = []
    undecided: list[tuple[str, Failed]] = []
    for name in servers:
        server = board.server(name)
        heard_at = max(heard.since, heard.servers.get(name, 0))
        quiet = now - heard_at - (longest if server.running else 0)
        waiting += (m for m in _oldest(server, window, now) if quiet >= heard.wait_before_sweep(m, span))
        overdue = ((m, now - max(heard.since, m.queued_at)) for m in server.retrying.values())
        returning += (m for m, since in overdue if since >= heard.wait_before_sweep(m, span))
        failed = ((f, now - max(heard.since, heard.failed.get(f.message.id, 0))) for f in server.undecided)
        undecided += ((name, f) for f, since in failed if since >= span)
    return Due(tuple(waiting), tuple(returning), tuple(undecided))


def _oldest(server: ServerBoard, window: Window, now: int) -> Iterator[BackMessage]:
    if server.stuck:
        return
    if server.running:
        yield server.running.batch[0]
    elif (oldest := server.oldest) and window.closes_at(server.pending.arrivals, server.pending.due) <= now:
        yield oldest


class Sweep:
    """Sweeps regularly, for one connection."""

    def __init__(self, publisher: Publisher, decisions: Decisions, heard: Heard, clock: Clock) -> None:
        self._publisher = publisher
        self._decisions = decisions
        self._heard = heard
        self._clock = clock

    async def run(self, journal: Journal, servers: Iterable[str], window: Window, span: int, longest: int) -> None:
        """Sweep until cancelled. Raises LinkLost."""
        servers = tuple(servers)
        while True:
            await self._clock.sleep(span / CHECKS / 1000)
            self._heard.forget(journal.board)
            try:
                now = self._clock.now()
                self._heard.hold(journal.board, now)
                await self._sweep(due(journal.board, servers, self._heard, window, span, longest, now))
            except NotConfirmed as fault:
                log.warning("%s; the next sweep will try again", fault)

    async def _sweep(self, found: Due) -> None:
        now = self._clock.now()
        returning = (replace(message, queued_at=now) for message in found.returning)
        for message in (*found.waiting, *returning):
            self._heard.swept[message.id] = self._heard.swept.get(message.id, 0) + 1
            await self._publisher.message(message)
            log.warning("%s of %s: no queue delivered it; re-published (%s)", message.issue, message.server, message.id)
        by_deploy: dict[Failure, list[BackMessage]] = {}
        for server, failed in found.undecided:
            by_deploy.setdefault(Failure.known(server, failed), []).append(failed.message)
        for failure, messages in by_deploy.items():
            await self._decisions.decide(failure, messages)
            log.warning("deploy %s of %s: completed the open decisions of its result", failure.deploy, failure.server)
