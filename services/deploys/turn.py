"""A turn: from the first message of a server's queue to its ack, by way of one command.

Look at the board; publish a marker and read up to it; keep the window; take; run; publish the result; ack only what the
board has settled. Each step is there because without it two commands could run at once, or a message could be lost.
"""

import asyncio
import logging

from deploys.context import Context, takeover_wait
from deploys.deploy import MANY_RETURNS, RETRY_PAUSE, Deploy
from deploys.runner import GuardDied
from deploys.waits import Waits
from deploys.window import keep_window
from usher.broker.consumer import ConsumerLost, Delivery
from usher.core.board.server import ServerBoard
from usher.core.errors import BrokerError, NotConfirmed, Unreadable
from usher.core.events import DeployInterrupted, DeployTaken, TurnGivenBack, decode_message
from usher.core.messages import BackMessage
from usher.core.servers import Server
from usher.core.states import OPEN, SETTLED
from usher.core.versions import check
from usher.runtime.wording import process

log = logging.getLogger(__name__)


class Turn:
    """One server's turn, had from a delivery on until its ack, or until `lost` is set."""

    def __init__(self, context: Context, server: Server, delivery: Delivery, lost: asyncio.Event) -> None:
        self._context = context
        self._journal = context.journal
        self._server = server
        self._delivery = delivery
        self._lost = lost
        self._since = context.clock.monotonic()
        self._waits = Waits(context.clock, lost, context.journal, context.drain.stop)
        self._deploy = Deploy(context, server, self._waits)

    async def run(self) -> None:
        """Until the delivery is acked.

        Raises ConsumerLost, LinkLost, NotUnderstood or Stopping; no command runs then.
        """
        if self._returns > MANY_RETURNS:
            returned = self._delivery.message_id, self._returns
            log.warning("! %s: message %s came back %d times; it is deployed by itself", self._server, *returned)
        while not await self._round():
            if self._lost.is_set():
                raise ConsumerLost

    async def give_back(self) -> None:
        """Write that the turn was given back in order; then the channel may close, and the next holder need not wait.

        The channel, not the consumer: a cancelled consumer would give the next one the queue's second message.
        """
        try:
            held = self._message()
            owes = round(self._owed(held) * 1000)
            await self._journal.append(
                TurnGivenBack(
                    server=self._server.name,
                    message=held.id,
                    holder=self._context.holder,
                    owes=owes,
                    returns=self._returns,
                )
            )
        except (BrokerError, Unreadable) as fault:
            log.warning("! %s: the turn could not be given back: %s", self._server, fault)
        else:
            log.info("%s: gave its turn back", self._server)

    async def _round(self) -> bool:
        """Look, and do the next thing; True once the delivery is acked."""
        try:
            await self._context.unwritten.write(self._server.name, self._journal, self._context.publisher)
            held = self._message()
            if not self._settled(held) or self._owed(held):
                # also what is settled, if its former holder took more than that: its command may run
                self._waits.check()
                await self._journal.barrier()
                if await self._kept_takeover_wait(held):
                    return False
                if not self._known(held):
                    await self._tell_again(held)
                elif not self._settled(held):
                    await self._go_on(held)
                    return False
        except (NotConfirmed, GuardDied) as fault:
            log.warning("! %s: %s; trying again", self._server, fault)
            await self._waits.sleep(RETRY_PAUSE)
            return False
        except Unreadable as fault:
            return await self._park(fault)
        await self._delivery.ack()
        return True

    def _message(self) -> BackMessage:
        """What was delivered. Raises NotUnderstood; Unreadable, also for a message of another server."""
        check(self._delivery.headers, f"message {self._delivery.message_id}")
        held = decode_message(self._delivery.body)
        if held.server != self._server.name:
            raise Unreadable(why=f"it is for {held.server}, but in the queue of {self._server}")
        return held

    async def _park(self, fault: Unreadable) -> bool:
        """Give up what can never be deployed; a person decides."""
        try:
            await self._context.publisher.park(self._delivery.body, self._delivery.message_id, str(fault))
        except NotConfirmed as unconfirmed:
            log.warning("! %s: %s; trying again", self._server, unconfirmed)
            await self._waits.sleep(RETRY_PAUSE)
            return False
        log.warning("! %s: parked a message: %s", self._server, fault)
        await self._delivery.ack()
        return True

    async def _tell_again(self, held: BackMessage) -> None:
        """The journal lost it, or never got it: it comes round again, known."""
        log.info("%s: the journal does not know %s; told again", self._server, held.id)
        await self._context.publisher.message(held)
        await self._journal.barrier()
        if not self._known(held):
            await self._waits.sleep(RETRY_PAUSE)

    def _settled(self, held: BackMessage) -> bool:
        return self._journal.board.state(held.id) in SETTLED

    def _known(self, held: BackMessage) -> bool:
        """Whether the journal has brought it: waiting, being deployed, or settled since."""
        return self._settled(held) or self._journal.board.state(held.id) in OPEN

    @property
    def _returns(self) -> int:
        """How often the message has come back to its queue."""
        count = self._delivery.headers.get("x-delivery-count")
        return count if isinstance(count, int) else 0

    @property
    def _board(self) -> ServerBoard:
        return self._journal.board.server(self._server.name)

    async def _go_on(self, held: BackMessage) -> None:
        """One thing that has to be waited for, or the deploy; the caller looks again after each."""
        context = self._context
        if taking := self._board.running:
            # from reading it or from getting the turn, whichever is later: till then its holder may have been at work
            await self._end(taking.event, max(taking.read_at, self._since) + takeover_wait(context.settings))
        else:
            await keep_window(context, self._server, held, self._waits)
            if self._settled(held):
                return
            if context.slots.locked():
                log.info("%s: waiting for one of the %d commands", self._server, context.settings.deploys.parallel)
            async with self._waits.one_of(context.slots):
                await self._deploy.run(held, self._returns)

    async def _kept_takeover_wait(self, held: BackMessage) -> bool:
        """Whether there was something to wait for."""
        left = self._owed(held)
        if not left:
            return False
        log.info("%s: its former holder may still run a command; waiting %.0f s", self._server, left)
        await self._waits.sleep(left)
        return True

    def _owed(self, held: BackMessage) -> float:
        """The seconds that are left of the take-over wait, if a former holder's turn has no end that the journal shows;
        who gave it back may have left some of it to us."""
        if not self._delivery.redelivered or self._board.running:
            return 0
        is_over = self._board.is_over(held.id, self._returns)
        wait = self._board.owed / 1000 if is_over else takeover_wait(self._context.settings)
        return max(0, self._since + wait - self._context.clock.monotonic())

    async def _end(self, taken: DeployTaken, dead_at: float) -> None:
        """Another's taking has no end: once its command must be dead, write that it was interrupted."""
        left = dead_at - self._context.clock.monotonic()
        if left > 0:
            log.info("%s: deploy %s has no end yet; waiting up to %.0f s", self._server, taken.deploy, left)
            changed = self._journal.changed(self._server.name)
            while (running := self._board.running) and running.event.deploy == taken.deploy and left > 0:
                changed.clear()
                await self._waits.sleep(left, changed)
                left = dead_at - self._context.clock.monotonic()
            return
        await self._journal.append(
            DeployInterrupted(
                deploy=taken.deploy,
                server=taken.server,
                by=self._context.holder,
                reason=f"{process(taken.holder)}, which ran it, is gone",
                at=self._context.clock.now(),
            )
        )
        log.warning("! deploy %s of %s interrupted: %s is gone", taken.deploy, self._server, process(taken.holder))
