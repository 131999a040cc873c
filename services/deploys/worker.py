"""One server's worker: consumes its queue, one turn after the other, for as long as the link holds."""

import logging

from deploys.parts import Parts
from deploys.turn import Turn
from deploys.waits import Stopping, Waits
from usher.broker.consumer import ConsumerLost, Delivery, consume
from usher.broker.link import Link, first
from usher.broker.topology import server_queue
from usher.errors import BrokerError, NotConfirmed, Unreadable
from usher.events import TurnGivenBack, decode_message
from usher.servers import Server

log = logging.getLogger(__name__)

PAUSE = 5.0
"""Seconds before a queue that has gone, or whose consumer was taken away, is consumed again."""


async def work(parts: Parts, link: Link, server: Server) -> None:
    """Take that server's turns until the link is lost or Usher stops; no command of this process runs then.

    A fault in our own code gives the whole link up, so that everything starts afresh rather than half.
    """
    try:
        while not (link.lost.is_set() or parts.stop.is_set()):
            try:
                await _turns(parts, link, server)
            except (ConsumerLost, NotConfirmed) as fault:
                if not link.lost.is_set():
                    log.warning("! %s: %s; is its queue there? `usher doctor` tells", server, fault)
                    await Waits(parts.clock, link.lost, parts.stop).sleep(PAUSE)
    except Stopping:
        return
    except BrokerError as fault:
        log.warning("! %s: %s", server, fault)
    except Exception:
        log.exception("! %s: a fault in Usher; connecting again", server)
    finally:
        if not parts.stop.is_set():
            link.lose()


async def _turns(parts: Parts, link: Link, server: Server) -> None:
    await parts.debts.pay(server.name, parts.journal, parts.publisher)
    tag = f"turn:{server.name}"
    async with consume(link, server_queue(server.name), tag, prefetch=1) as consumer:
        delivery: Delivery | None = None
        try:
            while True:
                delivery = None
                delivery = await first(consumer.get(), parts.stop, Stopping)
                await Turn(parts, server, delivery, consumer.lost).run()
        except Stopping:
            await _give_back(parts, server, delivery or consumer.undelivered())


async def _give_back(parts: Parts, server: Server, held: Delivery | None) -> None:
    """Write that the turn was given back in order; then the channel may close, and the next holder need not wait.

    The channel, not the consumer: a cancelled consumer would give the next one the queue's second message.
    """
    if held is None:
        return
    try:
        message = decode_message(held.body)
        await parts.journal.append(TurnGivenBack(server=server.name, message=message.id, holder=parts.holder))
    except (BrokerError, Unreadable) as fault:
        log.warning("! %s: the turn could not be given back: %s", server, fault)
    else:
        log.info("%s: gave its turn back", server)
