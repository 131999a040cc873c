"""A turn: from the delivery of a server's first message to its ack, with one command in between.

Look at the board; publish a marker and read up to it; keep the window; take; run; publish the result; ack only what the
board has settled. Without any one of these steps, two commands could run at once, or a message could be lost.
"""

import asyncio
import logging

from deploys.context import Context, takeover_wait
from deploys.deploy import MAX_DELIVERY_COUNT, RETRY_PAUSE, Deploy
from deploys.messages import Foreign, message_of
from deploys.runner import GuardDied
from deploys.unfinished import end_unfinished, show_wait, until_gone
from deploys.waits import Waits
from deploys.window import LEAD_SECONDS, KeptWindow
from usher.broker.consumer import ConsumerLost, Delivery
from usher.core.board.server import ServerBoard
from usher.core.errors import BrokerError, NotConfirmed, Unreadable
from usher.core.events import MessagesWithdrawn, TurnGivenBack
from usher.core.messages import BackMessage
from usher.core.servers import Server
from usher.core.states import OPEN, SETTLED
from usher.runtime.locks import Locked, NoLock

log = logging.getLogger(__name__)


class Turn:
    """One server's turn: this process holds it from a delivery until its ack, or until `lost` is set."""

    def __init__(self, context: Context, server: Server, delivery: Delivery, lost: asyncio.Event) -> None:
        self._context = context
        self._journal = context.journal
        self._server = server
        self._delivery = delivery
        self._lost = lost
        self._received_at = context.clock.monotonic()
        self._waits = Waits(context.clock, lost, context.journal, context.drain.stop)
        self._unless_held = self._waits.unless(context.journal.held(server))
        self._deploy = Deploy(context, server, self._unless_held)

    async def run(self) -> None:
        """Work until the delivery is acked.

        Raises ConsumerLost, LinkLost, NotUnderstood, Stopping or Held; no command is running then.
        """
        if self._unexplained > MAX_DELIVERY_COUNT:
            redelivered = self._delivery.message_id, self._unexplained
            log.warning("! %s: message %s was redelivered %d times; deploying it alone", self._server, *redelivered)
        while not await self._round():
            if self._lost.is_set():
                raise ConsumerLost

    async def give_back(self) -> None:
        """Write that the turn was given back, so that the next holder need not wait.

        The caller must then close the channel. If it only cancelled the consumer, the next consumer would receive the
        queue's second message.
        """
        try:
            held = message_of(self._delivery, self._server)
            left = round(self._takeover_wait_left(held) * 1000)
            await self._journal.append(
                TurnGivenBack(
                    server=self._server.name,
                    message=held.id,
                    holder=self._context.holder,
                    wait_left=left,
                    delivery_count=self._delivery_count,
                )
            )
        except (BrokerError, Unreadable) as fault:
            log.warning("! %s: the turn could not be given back: %s", self._server, fault)
        else:
            log.info("%s: gave the turn back", self._server)

    async def _round(self) -> bool:
        """Do one step; True once the delivery is acked. A step that failed is tried again after a pause."""
        troubles, server = self._context.troubles, self._server.name
        try:
            over = await self._step()
        except (NotConfirmed, GuardDied, Locked, NoLock) as fault:
            if troubles.get(server) != str(fault):
                log.warning("! %s: %s; trying until it works", self._server, fault)
            troubles[server] = str(fault)
            await self._waits.sleep(RETRY_PAUSE)
            return False
        except Unreadable as fault:
            return await self._park(fault)
        troubles.pop(server, None)
        return over

    async def _step(self) -> bool:
        """Look at the board and do what it asks for; True once the delivery is acked."""
        await self._context.unwritten.write(self._server.name, self._journal, self._context.publisher)
        held = message_of(self._delivery, self._server)
        if not self._settled(held) or self._takeover_wait_left(held):
            # also for a settled message: the previous holder may have taken others, and its command may still run
            self._waits.check()
            await self._journal.barrier()
            if await self._keep_takeover_wait(held):
                return False
            if not self._known(held):
                await self._republish(held)
            elif not self._settled(held):
                await self._advance(held)
                return False
        await self._delivery.ack()
        return True

    async def _park(self, fault: Unreadable) -> bool:
        """Park a message that can never be deployed. A person decides what happens to it."""
        try:
            await self._context.publisher.park(self._delivery.body, self._delivery.message_id, str(fault))
        except NotConfirmed as unconfirmed:
            log.warning("! %s: %s; trying again", self._server, unconfirmed)
            await self._waits.sleep(RETRY_PAUSE)
            return False
        if isinstance(fault, Foreign):
            now, message = self._context.clock.now(), str(fault.facts["message"])
            await self._journal.append(
                MessagesWithdrawn(server=self._server.name, messages=(message,), by="usher", at=now)
            )
        log.warning("! %s: parked a message: %s", self._server, fault)
        await self._delivery.ack()
        return True

    async def _republish(self, held: BackMessage) -> None:
        """Publish the message again, because the journal lost it or never received it."""
        log.info("%s: the journal does not contain %s; re-published", self._server, held.id)
        await self._context.publisher.message(held)
        await self._journal.barrier()
        if not self._known(held):
            await self._waits.sleep(RETRY_PAUSE)

    def _settled(self, held: BackMessage) -> bool:
        return self._journal.board.state(held.id) in SETTLED

    def _known(self, held: BackMessage) -> bool:
        """Whether the board knows the message: it is waiting, being deployed, or settled."""
        return self._settled(held) or self._journal.board.state(held.id) in OPEN

    @property
    def _delivery_count(self) -> int:
        """How often the message was returned to its queue; 0 on the first delivery."""
        count = self._delivery.headers.get("x-delivery-count")
        return count if isinstance(count, int) else 0

    @property
    def _unexplained(self) -> int:
        """How often the message was returned to its queue without a turn that was given back."""
        return self._delivery_count - self._board.given_back.get(self._delivery.message_id, 0)

    @property
    def _board(self) -> ServerBoard:
        return self._journal.board.server(self._server.name)

    async def _advance(self, held: BackMessage) -> None:
        """Wait for the end of an unfinished deploy; if there is none, keep the window and deploy."""
        context = self._context
        if self._board.stuck:
            await until_gone(context, self._server, self._waits)
        elif taking := self._board.running:
            # from reading the taking or receiving the turn, whichever is later: its holder may have worked until then
            dead_at = max(taking.read_at, self._received_at) + takeover_wait(context.settings)
            await end_unfinished(context, self._server, self._waits, taking.event, dead_at)
        else:
            # a held server is left alone, but only now: nothing is owed to it
            self._unless_held.check()
            window = KeptWindow(context, self._server, held, self._unless_held)
            while not await self._deployed(held, window):
                pass

    async def _deployed(self, held: BackMessage, window: KeptWindow) -> bool:
        """Keep the window, and deploy. Returns False if a message has moved its end at the last moment."""
        slots = self._context.slots
        await window.wait(LEAD_SECONDS)
        if slots.locked():
            await window.wait()
        if self._settled(held):
            return True
        if slots.locked():
            log.info("%s: waiting for one of %d slots", self._server, self._context.settings.deploys.parallel)
        async with self._unless_held.one_of(slots):
            alone = self._unexplained > MAX_DELIVERY_COUNT
            return await self._deploy.run(held, self._delivery_count, window, alone=alone)

    async def _keep_takeover_wait(self, held: BackMessage) -> bool:
        """Keep what is left of the take-over wait; False if there was nothing left."""
        left = self._takeover_wait_left(held)
        if not left:
            return False
        log.info("%s: the previous holder's command may still be running; waiting %.0f s", self._server, left)
        await show_wait(self._context, self._server, left, None)
        await self._waits.sleep(self._takeover_wait_left(held))
        return True

    def _takeover_wait_left(self, held: BackMessage) -> float:
        """How many seconds of the take-over wait are left; 0 if none is needed.

        It is needed after a redelivery if the journal does not show how the previous turn ended. A holder that gave the
        turn back may have left us the rest of its own wait.
        """
        if not self._delivery.redelivered or self._board.running:
            return 0
        is_over = self._board.is_over(held.id, self._delivery_count)
        longest = takeover_wait(self._context.settings)
        wait = min(self._board.wait_left / 1000, longest) if is_over else longest
        return max(0, self._received_at + wait - self._context.clock.monotonic())
