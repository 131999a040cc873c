"""From the journal into the ledger: every event becomes news, and news is written in batches as large as have come."""

import asyncio
from collections.abc import Iterable

from successes.ledger.ledger import Ledger
from successes.ledger.writes import Moved, News
from usher.broker.places import Memory
from usher.core.board.board import Board
from usher.core.board.server import ServerBoard
from usher.core.events import DeployEnded, DeployInterrupted, DeployTaken, Event, MessagesRetried, MessagesWithdrawn
from usher.core.messages import BackMessage
from usher.core.states import OPEN, TERMINAL, Change, State

PASSING = OPEN | {State.RETRYING}
"""States that a message leaves by itself."""


class Follower:
    """Observes the reading of the journal into that memory, from the first entry that the ledger has not heard of.

    A message's state is what the board says. What was observed is kept until it is written, whatever becomes of the
    connection or the ledger. Only while it catches up does it keep back what passes: the ledger may know later things,
    and must not go back to earlier ones in between.
    """

    def __init__(self, ledger: Ledger, memory: Memory) -> None:
        self._ledger = ledger
        self._memory = memory
        self._news = News()
        self._passing: dict[str, Moved] = {}
        self._heard: dict[str, State] = {}
        self._known: Board | None = None
        self._replaying = True
        self._come = asyncio.Event()
        self._writing = asyncio.Lock()

    def observe(self, event: Event, changes: tuple[Change, ...]) -> None:
        """Take in an event and what it changed on the board."""
        match event:
            case BackMessage():
                self._news.told[event.id] = (event, self._board.told.get(event.id, 1))
                if (state := self._board.state(event.id)) in TERMINAL:
                    # settled before it was told: the ledger had nothing to settle
                    self._news.moved.setdefault(event.id, Moved(state, None, None))
            case DeployTaken() if changes:
                self._news.taken.append((event, tuple(change.message for change in changes)))
            case DeployInterrupted():
                self._news.interrupted.append(event)
            case DeployEnded():
                # a result counts even where the board's deploy had been interrupted before: what has passed is deployed
                self._news.ended.append(event)
            case _ if not changes:
                return
        by = event.by if isinstance(event, MessagesRetried | MessagesWithdrawn) else None
        server = self._board.server(getattr(event, "server", ""))
        self._move(changes, server, _time(event), by)
        self._come.set()

    def begin(self) -> None:
        """What is observed from now on may have happened long ago, until `caught_up`."""
        self._replaying = True

    async def run(self) -> None:
        """Write what comes, until cancelled. Raises LedgerFault."""
        while True:
            await self._come.wait()
            self._come.clear()
            await self.flush()

    async def flush(self) -> None:
        """Write all that has been observed by now. Raises LedgerFault."""
        async with self._writing:
            news, self._news = self._news, News()
            if not self._replaying:
                news.through = self._memory.position
            try:
                if news:
                    await self._ledger.write(news)
            except BaseException:
                # cancelled, too: it may be written then, and is written again
                self._news = news.then(self._news)
                self._come.set()
                raise

    async def caught_up(self) -> None:
        """The replay is over: write it all, and where each message is now that is not settled. Raises LedgerFault."""
        self._replaying = False
        if self._known is not self._board:
            self._known = self._board
            for name in self._board:
                self._begin_with(self._board.server(name))
        for m, moved in self._passing.items():
            now = self._board.state(m)
            if now is moved.state:
                self._news.moved[m] = moved
            elif (
                now in TERMINAL
            ):  # as a checkpoint has it, which knows more than what was left of the journal before it
                self._news.moved[m] = Moved(now, None, None)
        self._passing, self._heard = {}, {}
        await self.flush()

    @property
    def _board(self) -> Board:
        assert self._memory.board is not None  # noqa: S101 - nothing is observed before there is one
        return self._memory.board

    def _move(self, changes: Iterable[Change], server: ServerBoard, at: int | None, by: str | None) -> None:
        for change in changes:
            m = change.message
            if change.state is State.RETRYING:
                self._news.retrying[m] = server.retrying[m]
            before = self._passing.pop(m, None) or self._news.moved.get(m)
            when = before.at if at is None and before else at
            # what waits is by no deploy, however it came to that
            deploy = None if change.state in (State.WAITING, State.RETRYING) else change.deploy
            if self._replaying:
                self._heard[m] = change.state
            to = self._passing if self._replaying and change.state in PASSING else self._news.moved
            to[m] = Moved(change.state, deploy, when, by)

    def _begin_with(self, server: ServerBoard) -> None:
        """What a checkpoint brought: the ledger may never have heard of it."""
        if taking := server.running:
            self._news.taken.append((taking.event, tuple(message.id for message in taking.batch)))
        for known in server.messages():
            m = known.message.id
            if self._heard.get(m) is not known.state:
                self._news.told.setdefault(m, (known.message, self._board.told.get(m, 1)))
                self._move((Change(m, known.state, known.deploy),), server, None, None)


def _time(event: Event) -> int | None:
    """When that happened (ms); None if the event does not say it."""
    match event:
        case BackMessage():
            return event.queued_at
        case DeployTaken():
            return event.taken_at
        case DeployEnded():
            return event.ended_at
        case DeployInterrupted() | MessagesRetried() | MessagesWithdrawn():
            return event.at
        case _:
            return None
