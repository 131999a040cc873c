"""One server's worker: consumes its queue, one turn after the other, for as long as the link holds."""

import asyncio
import logging
from contextlib import suppress

from deploys.context import Context
from deploys.turn import Turn
from deploys.waits import Stopping, Waits
from usher.broker.consumer import Consumer, ConsumerLost, Delivery, consume
from usher.broker.link import Link
from usher.broker.topology import server_queue
from usher.core.errors import BrokerError, NotConfirmed
from usher.core.servers import Server
from usher.core.versions import NotUnderstood

log = logging.getLogger(__name__)

PAUSE = 5.0
"""Seconds before a queue that has gone, or whose consumer was taken away, is consumed again."""

SENT_SECONDS = 1.0


async def work(context: Context, link: Link, server: Server) -> None:
    """Take that server's turns until the link is lost, Usher stops, or the journal is not understood any more.

    No command of this process runs then. A fault in our own code gives the whole link up, so that everything starts
    afresh rather than half.
    """
    waits = Waits(context.clock, link.lost, context.journal, context.drain.stop)
    try:
        while not waits.over:
            try:
                await _turns(context, link, server)
            except (ConsumerLost, NotConfirmed, NotUnderstood) as fault:
                if not waits.over:
                    log.warning("! %s: %s; is its queue there? `usher doctor` tells", server, fault)
                    await waits.sleep(PAUSE)
    except Stopping:
        return
    except NotUnderstood:
        with suppress(BrokerError):  # those who understand the journal can read how our deploy ended
            await context.unwritten.write(server.name, context.journal, context.publisher)
    except BrokerError as fault:
        log.warning("! %s: %s", server, fault)
    except Exception:
        log.exception("! %s: a fault in Usher; connecting again", server)
    finally:
        if not (context.drain.stop.is_set() or context.journal.halted.is_set()):
            link.lost.set()


async def _turns(context: Context, link: Link, server: Server) -> None:
    await context.unwritten.write(server.name, context.journal, context.publisher)
    tag = f"turn:{server.name}"
    async with consume(link, server_queue(server.name), tag, prefetch=1) as consumer:
        waits = Waits(context.clock, consumer.lost, context.journal, context.drain.stop)
        turn: Turn | None = None
        active = False
        try:
            while True:
                turn = None
                delivery = await waits.first(consumer.get())
                active = True
                turn = Turn(context, server, delivery, consumer.lost)
                await turn.run()
        except Stopping:
            if turn is None and (sent := await _sent(context, server, consumer, active=active)):
                turn = Turn(context, server, sent, consumer.lost)
            if turn:
                await turn.give_back()


async def _sent(context: Context, server: Server, consumer: Consumer, *, active: bool) -> Delivery | None:
    """What the broker has sent to an `active` consumer that stops, if anything.

    As soon as one message is acked it sends the next: so that is waited for if the board says that there is one. Left
    unseen it would come to the next holder as if we had died with it.
    """
    if active and context.journal.board.server(server.name).waiting:
        with suppress(TimeoutError):
            async with asyncio.timeout(SENT_SECONDS):
                return await consumer.get()
    return await consumer.leave()
