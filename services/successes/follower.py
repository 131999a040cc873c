"""From the journal into the ledger: every event becomes news, and news is written in batches as large as have come."""

import asyncio

from successes.ledger import Ledger
from successes.writes import Moved, News
from usher.events import DeployEnded, DeployInterrupted, DeployTaken, Event, MessagesParked
from usher.messages import BackMessage
from usher.states import OPEN, Change, State


class Follower:
    """Observes one reading of the journal, from its first entry on.

    Only while it replays does it keep back what opens a message: the ledger may know later things, and must not go back
    to earlier ones in between.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._news = News()
        self._opened: dict[str, Moved] = {}
        # counted anew in each replay, so that a replay does not inflate it; only what was told more than once is here
        self._told: dict[str, int] = {}
        self._replaying = True
        self._come = asyncio.Event()
        self._writing = asyncio.Lock()

    def observe(self, event: Event, changes: tuple[Change, ...]) -> None:
        """Take in an event and what it changed on the board."""
        match event:
            case BackMessage():
                told = 1 if changes else self._told.get(event.id, 1) + 1
                if told > 1:
                    self._told[event.id] = told
                self._news.told[event.id] = (event, told)
                self._open(changes, event.queued_at)
            case DeployTaken() if changes:
                self._news.taken.append((event, tuple(change.message for change in changes)))
                self._open(changes, event.taken_at)
            case DeployInterrupted():
                self._news.interrupted.append(event)
                self._open(changes, event.at)
            case DeployEnded():
                # a result counts even where the board's deploy had been interrupted before: what has passed is deployed
                self._news.ended.append(event)
            case MessagesParked():
                self._news.parked.append(event)
            case _:
                return
        for change in changes:
            if change.state not in OPEN:
                self._opened.pop(change.message, None)
        self._come.set()

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
                news.moved, self._opened = self._opened, {}
            if news:
                await self._ledger.write(news)

    async def caught_up(self) -> None:
        """The replay is over: write it all, and where each open message is now. Raises LedgerFault."""
        self._replaying = False
        await self.flush()

    def _open(self, changes: tuple[Change, ...], at: int) -> None:
        for change in changes:
            if change.state in OPEN:
                deploy = change.deploy if change.state is State.DEPLOYING else None
                self._opened[change.message] = Moved(change.state, deploy, at)
