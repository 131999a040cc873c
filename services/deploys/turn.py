"""A turn: from the first message of a server's queue to its ack, by way of one command.

Look at the board; publish a marker and read up to it; keep the window; take; run; publish the result; ack only what the
board has settled. Each step is there because without it two commands could run at once, or a message could be lost.
"""

import asyncio
import logging
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from deploys.jobs import Finished, How, end_of, job_of
from deploys.parts import Parts, takeover_wait
from deploys.runner import GuardDied, Prepared
from deploys.waits import Waits
from usher.batches import Batch, choose
from usher.board import OPEN, ServerBoard
from usher.broker.consumer import ConsumerLost, Delivery
from usher.errors import BrokerError, NotConfirmed, Unreadable
from usher.events import DeployEnded, DeployInterrupted, DeployTaken, decode_message
from usher.messages import BackMessage
from usher.servers import Server

log = logging.getLogger(__name__)

LONGEST_LOOK = 10.0
"""Seconds after which a waiting turn looks at the clock again: somebody may have set it."""

RETRY_PAUSE = 1.0


class Turn:
    """One server's turn, had from a delivery on until its ack, or until `lost` is set."""

    def __init__(self, parts: Parts, server: Server, delivery: Delivery, lost: asyncio.Event) -> None:
        self._parts = parts
        self._journal = parts.journal
        self._server = server
        self._delivery = delivery
        self._lost = lost
        self._since = parts.clock.monotonic()
        self._waits = Waits(parts.clock, lost, parts.stop)

    async def run(self) -> None:
        """Until the delivery is acked. Raises ConsumerLost, LinkLost or Stopping; no command runs then."""
        try:
            held = decode_message(self._delivery.body)
        except Unreadable as fault:
            log.warning("! %s: parked what cannot be read: %s", self._server, fault)
            await self._parts.publisher.park(self._delivery.body, self._delivery.message_id, str(fault))
            await self._delivery.ack()
            return
        while not await self._round(held):
            if self._lost.is_set():
                raise ConsumerLost

    async def _round(self, held: BackMessage) -> bool:
        """Look, and do the next thing; True once the delivery is acked."""
        try:
            await self._parts.debts.pay(self._server.name, self._journal, self._parts.publisher)
            if not self._settled(held):
                await self._journal.barrier()
                if await self._kept_takeover_wait(held):
                    return False
                if self._journal.board.state(held.id) is None:
                    log.info("%s: the journal does not know %s; told again", self._server, held.id)
                    await self._parts.publisher.message(held)
                elif not self._settled(held):
                    await self._go_on(held)
                    return False
        except (NotConfirmed, GuardDied) as fault:
            log.warning("! %s: %s; trying again", self._server, fault)
            await self._waits.sleep(RETRY_PAUSE)
            return False
        await self._delivery.ack()
        return True

    def _settled(self, held: BackMessage) -> bool:
        state = self._journal.board.state(held.id)
        return state is not None and state not in OPEN

    @property
    def _board(self) -> ServerBoard:
        return self._journal.board.server(self._server.name)

    async def _go_on(self, held: BackMessage) -> None:
        """One thing that has to be waited for, or the deploy; the caller looks again after each."""
        if taking := self._board.running:
            await self._end(taking.event, taking.read_at + takeover_wait(self._parts.settings))
        else:
            await self._window(held)
            async with self._slot():
                await self._deploy(held)

    async def _kept_takeover_wait(self, held: BackMessage) -> bool:
        """Whether there was something to wait for: a former holder whose turn has no end that the journal shows."""
        left = self._since + takeover_wait(self._parts.settings) - self._parts.clock.monotonic()
        if left <= 0 or not self._delivery.redelivered or held.id in self._board.ended_turns or self._board.running:
            return False
        log.info("%s: its former holder may still run a command; waiting %.0f s", self._server, left)
        await self._waits.sleep(left)
        return True

    async def _end(self, taken: DeployTaken, dead_at: float) -> None:
        """Another's taking has no end: once its command must be dead, write that it was interrupted."""
        left = dead_at - self._parts.clock.monotonic()
        if left > 0:
            log.info("%s: deploy %s has no end yet; waiting up to %.0f s", self._server, taken.deploy, left)
            await self._waits.sleep(left, self._journal.changed(self._server.name))
            return
        await self._journal.append(
            DeployInterrupted(
                deploy=taken.deploy,
                server=taken.server,
                by=self._parts.holder,
                reason=f"its holder {taken.holder} is gone",
                at=self._parts.clock.now(),
            )
        )
        log.warning("! deploy %s of %s interrupted: its holder %s is gone", taken.deploy, self._server, taken.holder)

    async def _window(self, held: BackMessage) -> None:
        """Wait until the window of what waits closes; each message that comes may move it."""
        window, said = self._parts.settings.window.window(), 0
        changed = self._journal.changed(self._server.name)
        while True:
            changed.clear()
            closes_at = window.closes_at(self._board.arrivals or (held.queued_at,))
            left = (closes_at - self._parts.clock.now()) / 1000
            if left <= 0:
                return
            if not said:
                log.info("%s: a window opened; it closes in %.1f s if nothing more comes", self._server, left)
                said = closes_at
            await self._waits.sleep(min(left, LONGEST_LOOK), changed)

    async def _deploy(self, held: BackMessage) -> None:
        """Take what waits; if that is granted, run the command. What came of it is owed, and paid in the next round."""
        async with self._parts.runner.prepare() as prepared:
            now, waiting = self._parts.clock.now(), self._board.waiting
            taken = DeployTaken(
                deploy=secrets.token_hex(6),
                server=self._server.name,
                holder=self._parts.holder,
                fence=max(self._board.fence + 1, now),
                messages=tuple(m.id for m in choose(held, waiting, self._parts.settings.deploys.most)),
                taken_at=now,
            )
            batch = await self._take(taken)
            if batch is None:
                return
            end = await self._command(prepared, taken, batch)
        if isinstance(end, DeployInterrupted):
            await self._parts.debts.pay(self._server.name, self._journal, self._parts.publisher)
            await self._waits.sleep(RETRY_PAUSE)

    async def _take(self, taken: DeployTaken) -> Batch | None:
        """Write the taking and read up to it: its batch, or None if it was not granted."""
        try:
            await self._journal.append(taken)
        except BrokerError as fault:
            # it may be in the journal all the same, and nothing will run for it
            interrupted = DeployInterrupted(
                deploy=taken.deploy, server=taken.server, by=taken.holder, reason=str(fault), at=taken.taken_at
            )
            self._parts.debts.owe(interrupted)
            raise
        taking = self._board.running
        if taking is None or taking.event.deploy != taken.deploy:
            log.info("%s: deploy %s was not granted", self._server, taken.deploy)
            return None
        return Batch.of(taking.batch)

    async def _command(self, prepared: Prepared, taken: DeployTaken, batch: Batch) -> DeployEnded | DeployInterrupted:
        """Run the command of a granted taking to its end."""
        clock, settings = self._parts.clock, self._parts.settings.deploys
        job = job_of(taken, batch, self._server, settings, self._parts.environment)
        started_at, started = clock.now(), clock.monotonic()
        log.info("→ deploy %s of %s: %d issues: %s", taken.deploy, self._server, len(batch.issues), _short(job.argv))
        finished = Finished(How.CUT, "nothing was started")
        try:
            if not self._lost.is_set() and not self._parts.stop.is_set():
                finished = await prepared.run(job, self._lost, self._parts.stop)
        finally:
            end = end_of(
                taken, batch, job, finished, rehearsed=settings.rehearses, started_at=started_at, ended_at=clock.now()
            )
            self._parts.debts.owe(end)
        outcome = end.outcome if isinstance(end, DeployEnded) else "interrupted"
        why = f" ({end.reason})" if end.reason else ""
        took = clock.monotonic() - started
        log.info("← deploy %s of %s %s in %.1f s%s", taken.deploy, self._server, outcome, took, why)
        return end

    @asynccontextmanager
    async def _slot(self) -> AsyncIterator[None]:
        """One of the `parallel` commands at a time."""
        slots = self._parts.slots
        if slots.locked():
            log.info("%s: waiting for one of the %d commands", self._server, self._parts.settings.deploys.parallel)
        await self._waits.unless_over(slots.acquire())
        try:
            yield
        finally:
            slots.release()


def _short(argv: tuple[str, ...]) -> str:
    line = " ".join(argv)
    return line if len(line) <= 500 else f"{line[:500]} …"
