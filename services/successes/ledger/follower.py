"""Copies the journal into the ledger: events are collected as news, and written in batches."""

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

TRANSIENT = OPEN | {State.RETRYING}
"""States in which a message is still on its way: it waits, is being deployed, or waits for its retry."""

PAUSE = 0.02
"""Seconds between two writes: a transaction costs more than the rows of a busy moment."""


class Follower:
    """Observes a reader of the journal, from the first entry that the ledger does not include.

    The board determines the state of a message. Observed events are kept until they are written, even if the
    connection or the ledger fails. During a replay, transient states are buffered: the ledger may already have later
    states, and must not go back.
    """

    def __init__(self, ledger: Ledger, memory: Memory) -> None:
        self._ledger = ledger
        self._memory = memory
        self._news = News()
        self._buffered: dict[str, Moved] = {}
        self._replayed: dict[str, State] = {}
        self._copied: Board | None = None
        self._replaying = True
        self._pending = asyncio.Event()
        self._writing = asyncio.Lock()

    def observe(self, event: Event, changes: tuple[Change, ...]) -> None:
        """Record an event and the changes that it made to the board."""
        match event:
            case BackMessage():
                self._news.received[event.id] = (event, self._board.received.get(event.id, 1))
                if (state := self._board.state(event.id)) in TERMINAL:
                    # settled before it was received, when the ledger had no row to settle
                    self._news.moved.setdefault(event.id, Moved(state, None, None))
            case DeployTaken() if changes:
                self._news.taken.append((event, tuple(change.message for change in changes)))
            case DeployInterrupted() if event.deploy not in self._board.server(event.server).stuck:
                self._news.interrupted.append(event)
            case DeployEnded():
                # a result counts even if the board had the deploy as interrupted: what has passed is deployed
                self._news.ended.append(event)
            case _ if not changes:
                return
        by = event.by if isinstance(event, MessagesRetried | MessagesWithdrawn) else None
        server = self._board.server(getattr(event, "server", ""))
        self._move(changes, server, _time(event), by)
        self._pending.set()

    def begin(self) -> None:
        """A replay begins: until `caught_up`, observed events may be old."""
        self._replaying = True

    async def run(self) -> None:
        """Write observed events until cancelled. Raises LedgerFault."""
        while True:
            await self._pending.wait()
            self._pending.clear()
            await self.flush()
            await asyncio.sleep(PAUSE)

    async def flush(self) -> None:
        """Write everything observed so far. Raises LedgerFault."""
        async with self._writing:
            news, self._news = self._news, News()
            if not self._replaying:
                news.through = self._memory.position
            try:
                if news:
                    await self._ledger.write(news)
            except BaseException:
                # also if cancelled: it may have been written then, and is simply written again
                self._news = news.then(self._news)
                self._pending.set()
                raise

    async def caught_up(self) -> None:
        """The replay is over: write everything, with the current state of unsettled messages. Raises LedgerFault."""
        self._replaying = False
        if self._copied is not self._board:
            self._copied = self._board
            for name in self._board:
                self._copy(self._board.server(name))
        for m, moved in self._buffered.items():
            now = self._board.state(m)
            if now is moved.state:
                self._news.moved[m] = moved
            elif now in TERMINAL:
                # this state comes from a checkpoint, which includes entries that the journal no longer has
                self._news.moved[m] = Moved(now, None, None)
        self._buffered, self._replayed = {}, {}
        await self.flush()

    @property
    def _board(self) -> Board:
        assert self._memory.board is not None  # noqa: S101 - events are observed only once there is a board
        return self._memory.board

    def _move(self, changes: Iterable[Change], server: ServerBoard, at: int | None, by: str | None) -> None:
        for change in changes:
            m = change.message
            if change.state is State.RETRYING:
                self._news.retrying[m] = server.retrying[m]
            before = self._buffered.pop(m, None) or self._news.moved.get(m)
            when = before.at if at is None and before else at
            # a message that waits belongs to no deploy, whatever made it wait
            deploy = None if change.state in (State.WAITING, State.RETRYING) else change.deploy
            if self._replaying:
                self._replayed[m] = change.state
            to = self._buffered if self._replaying and change.state in TRANSIENT else self._news.moved
            to[m] = Moved(change.state, deploy, when, by)

    def _copy(self, server: ServerBoard) -> None:
        """Record what came from a checkpoint: the ledger may not have it yet."""
        if taking := server.running:
            self._news.taken.append((taking.event, tuple(message.id for message in taking.batch)))
        for known in server.messages():
            m = known.message.id
            if self._replayed.get(m) is not known.state:
                self._news.received.setdefault(m, (known.message, self._board.received.get(m, 1)))
                self._move((Change(m, known.state, known.deploy),), server, None, None)


def _time(event: Event) -> int | None:
    """When the event happened (ms); None if it does not say."""
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
