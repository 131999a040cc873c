"""A deploy: waiting messages are taken, and if the taking is granted, one command runs for them."""

import logging
import secrets

from deploys.context import Context
from deploys.jobs import HELD, Finished, end_of, job_of
from deploys.runner import Prepared
from deploys.unwritten import Outcome
from deploys.waits import Waits
from deploys.window import KeptWindow
from usher.core.batches import Batch, choose
from usher.core.board.server import ServerBoard
from usher.core.errors import BrokerError
from usher.core.events import DeployEnded, DeployInterrupted, DeployTaken
from usher.core.messages import BackMessage
from usher.core.servers import Server

log = logging.getLogger(__name__)

RETRY_PAUSE = 1.0
"""Seconds before a failed step is tried again."""

MAX_DELIVERY_COUNT = 10
"""A message that was redelivered more often than this is deployed without other issues. If it is what kills its
holders, it then does no harm to other messages."""


class Deploy:
    """The deploys of one turn."""

    def __init__(self, context: Context, server: Server, waits: Waits) -> None:
        self._context = context
        self._journal = context.journal
        self._server = server
        self._waits = waits

    @property
    def _board(self) -> ServerBoard:
        return self._journal.board.server(self._server.name)

    async def run(self, held: BackMessage, delivery_count: int, window: KeptWindow, *, alone: bool) -> bool:
        """Take the waiting messages when the window is over and, if the taking is granted, run the command.

        Returns False, without taking anything, if the end of the window has moved.

        If `alone`, take only messages of the held message's issue: it has been redelivered many times. A result is kept
        in `unwritten`, and written in the turn's next round. If the command is stuck, the turn goes on without it.
        """
        async with self._context.runner.prepare(self._server.name) as prepared:
            if not await window.over():
                return False
            if held.id not in self._board.open:
                return True
            now, max_issues = self._context.clock.now(), 1 if alone else self._context.settings.deploys.max_issues
            taken = DeployTaken(
                deploy=secrets.token_hex(6),
                server=self._server.name,
                holder=self._context.holder,
                fence=max(self._board.fence + 1, now),
                messages=tuple(m.id for m in choose(held, self._board.waiting, max_issues)),
                taken_at=now,
            )
            batch = await self._take(taken)
            if batch is None:
                return True
            end = await self._command(prepared, taken, batch)
            over = self._waits.lost.is_set() or self._journal.halted.is_set()
            if isinstance(end, DeployEnded) or (over and isinstance(end, DeployInterrupted)):
                # the turn is over and no command is running, so the next holder need not wait
                self._context.unwritten.add(end.model_copy(update={"held": held.id, "delivery_count": delivery_count}))
        if not isinstance(end, DeployEnded):
            await self._context.unwritten.write(self._server.name, self._journal, self._context.publisher)
            await self._waits.sleep(RETRY_PAUSE)
        return True

    async def _take(self, taken: DeployTaken) -> Batch | None:
        """Write the taking and read up to it. Returns its batch, or None if it was not granted."""
        self._waits.check()
        try:
            await self._journal.append(taken)
        except BrokerError as fault:
            # the taking may have reached the journal, but no command will run for it
            interrupted = DeployInterrupted(
                deploy=taken.deploy, server=taken.server, by=taken.holder, reason=str(fault), at=taken.taken_at
            )
            self._context.unwritten.add(interrupted)
            raise
        taking = self._board.running
        if taking is None or taking.event.deploy != taken.deploy:
            log.info("%s: deploy %s was not granted", self._server, taken.deploy)
            await self._waits.sleep(RETRY_PAUSE)
            return None
        return Batch.of(taking.batch)

    async def _command(self, prepared: Prepared, taken: DeployTaken, batch: Batch) -> Outcome:
        """Run the command of a granted taking to its end, or until it is stuck."""
        clock, settings = self._context.clock, self._context.settings.deploys
        job = job_of(taken, batch, self._server, settings, self._context.environment)
        started_at, started = clock.now(), clock.monotonic()
        log.info("→ deploy %s of %s: %s", taken.deploy, self._server, _short(job.argv))
        finished: Finished | None = None
        try:
            if self._journal.board.orders.holds.stop(self._server.routing_key):
                finished = HELD
            elif not self._waits.over:
                finished = await prepared.run(job, self._waits.lost, self._context.drain)
        finally:
            how, now = finished or prepared.unfinished, clock.now()
            end = end_of(taken, batch, job, how, rehearsed=settings.rehearses, started_at=started_at, ended_at=now)
            self._context.unwritten.add(end)
            self._context.drain.note(end)
        outcome = end.outcome if isinstance(end, DeployEnded) else end.kind.partition(".")[2]
        why = f" ({end.reason})" if end.reason else ""
        took = clock.monotonic() - started
        log.info("← deploy %s of %s %s in %.1f s%s", taken.deploy, self._server, outcome, took, why)
        return end


def _short(argv: tuple[str, ...]) -> str:
    line = " ".join(argv)
    return line if len(line) <= 500 else f"{line[:500]} …"
