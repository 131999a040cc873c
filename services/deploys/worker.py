"""One server's worker: consumes its queue, one turn after the other, for as long as the link holds."""

import asyncio
import logging
from contextlib import suppress

from deploys.parts import Parts
from deploys.turn import Turn
from deploys.waits import Stopping, Waits
from usher.broker.consumer import Consumer, ConsumerLost, Delivery, consume
from usher.broker.link import Link, first
from usher.broker.topology import server_queue
from usher.errors import BrokerError, NotConfirmed
from usher.servers import Server

log = logging.getLogger(__name__)

PAUSE = 5.0
"""Seconds before a queue that has gone, or whose consumer was taken away, is consumed again."""

SENT_SECONDS = 1.0


async def work(parts: Parts, link: Link, server: Server) -> None:
    """Take that server's turns until the link is lost or Usher stops; no command of this process runs then.

    A fault in our own code gives the whole link up, so that everything starts afresh rather than half.
    """
    try:
        while not (link.lost.is_set() or parts.drain.stop.is_set()):
            try:
                await _turns(parts, link, server)
            except (ConsumerLost, NotConfirmed) as fault:
                if not link.lost.is_set():
                    log.warning("! %s: %s; is its queue there? `usher doctor` tells", server, fault)
                    await Waits(parts.clock, link.lost, parts.drain.stop).sleep(PAUSE)
    except Stopping:
        return
    except BrokerError as fault:
        log.warning("! %s: %s", server, fault)
    except Exception:
        log.exception("! %s: a fault in Usher; connecting again", server)
    finally:
        if not parts.drain.stop.is_set():
            link.lost.set()


async def _turns(parts: Parts, link: Link, server: Server) -> None:
    await parts.debts.pay(server.name, parts.journal, parts.publisher)
    tag = f"turn:{server.name}"
    async with consume(link, server_queue(server.name), tag, prefetch=1) as consumer:
        turn: Turn | None = None
        active = False
        try:
            while True:
                turn = None
                delivery = await first(consumer.get(), parts.drain.stop, Stopping)
                active = True
                turn = Turn(parts, server, delivery, consumer.lost)
                await turn.run()
        except Stopping:
            if turn is None and (sent := await _sent(parts, server, consumer, active=active)):
                turn = Turn(parts, server, sent, consumer.lost)
            if turn:
                await turn.give_back()


async def _sent(parts: Parts, server: Server, consumer: Consumer, *, active: bool) -> Delivery | None:
    """What the broker has sent to an `active` consumer that stops, if anything.

    As soon as one message is acked it sends the next: so that is waited for if the board says that there is one. Left
    unseen it would come to the next holder as if we had died with it.
    """
    if active and parts.journal.board.server(server.name).waiting:
        with suppress(TimeoutError):
            async with asyncio.timeout(SENT_SECONDS):
                return await consumer.get()
    return await consumer.leave()
