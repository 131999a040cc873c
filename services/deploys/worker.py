"""One server's worker: consumes its queue and takes one turn after the other, for as long as the link holds."""

import asyncio
import logging
from contextlib import suppress

from deploys.context import Context
from deploys.turn import Turn
from deploys.waits import Held, Stopping, Waits
from usher.broker import topology
from usher.broker.changes import HOLDS
from usher.broker.consumer import Consumer, ConsumerLost, Delivery, consume
from usher.broker.link import Link
from usher.core.errors import BrokerError, NotConfirmed
from usher.core.servers import Server
from usher.core.versions import NotUnderstood
from usher.runtime.tasks import until_first

log = logging.getLogger(__name__)

PAUSE = 5.0
"""Seconds before a queue is consumed again after its consumer was lost, for example because the queue was deleted."""

RESTORE_SECONDS = 15.0
"""How long the broker may take to say whether a queue exists, and to declare it."""

PREFETCHED_SECONDS = 1.0
"""How long to wait for a message that the broker may have sent just before a stop."""


async def work(context: Context, link: Link, server: Server) -> None:
    """Take the server's turns until the link is lost, Usher stops, or the journal is no longer understood.

    No command of this worker is running when it returns. A bug in Usher gives up the whole link, so that everything
    restarts together.
    """
    waits = Waits(context.clock, link.lost, context.journal, context.drain.stop)
    try:
        while True:
            waits.check()
            await _consume(context, link, server, waits)
    except (Stopping, ConsumerLost):
        return
    except NotUnderstood:
        await _write_outcome(context, link, server)
    except BrokerError as fault:
        log.warning("! %s: %s", server, fault)
    except Exception:
        log.exception("! %s: a bug in Usher; reconnecting", server)
    finally:
        if not (context.drain.stop.is_set() or context.journal.halted.is_set()):
            link.lost.set()


async def _until_released(context: Context, server: Server, waits: Waits) -> None:
    """Leave the queue alone while a hold stops the server."""
    held = context.journal.held(server)
    if held.is_set():
        log.info("%s: held; its messages collect until it is released", server)
    while held.is_set():
        changed = context.journal.changed(HOLDS)
        changed.clear()
        await waits.first(changed.wait())


async def _consume(context: Context, link: Link, server: Server, waits: Waits) -> None:
    """Take turns until the consumer is lost, or a message is not understood; then wait a while, unless all is over."""
    try:
        await _turns(context, link, server, waits)
    except (ConsumerLost, NotConfirmed, NotUnderstood) as fault:
        if waits.over or (isinstance(fault, ConsumerLost) and await _restored(context, link, server)):
            return
        context.troubles[server.name] = str(fault)
        log.warning("! %s: %s; trying again in %.0f s", server, fault, PAUSE)
        await waits.sleep(PAUSE)


async def _restored(context: Context, link: Link, server: Server) -> bool:
    """Declare the server's queue again if somebody deleted it, and re-publish what it contained.

    One pending message is enough: whoever receives it deploys the others, too. Returns whether the queue was missing.
    """
    try:
        async with asyncio.timeout(RESTORE_SECONDS):
            if not await topology.restore(link, server):
                return False
    except TimeoutError:  # a queue without a leader may never answer
        return False
    log.warning("! %s: somebody deleted its queue; it is declared again", server)
    try:
        await context.unwritten.write(server.name, context.journal, context.publisher)
        await context.journal.barrier()
        board = context.journal.board.server(server.name)
        if message := board.running.batch[0] if board.running else board.oldest:
            await context.publisher.message(message)
    except NotConfirmed as fault:
        log.warning("! %s: %s; its pending messages are re-published later", server, fault)
    return True


async def _write_outcome(context: Context, link: Link, server: Server) -> None:
    """Write how our deploy ended, although our reader has halted: those that understand the journal can read it."""
    while True:
        try:
            await context.unwritten.write(server.name, context.journal, context.publisher)
        except NotConfirmed as fault:
            log.warning("! %s: %s; trying again", server, fault)
        except BrokerError:
            return
        else:
            return
        if link.lost.is_set() or context.drain.stop.is_set():
            return
        await until_first(context.clock.sleep(PAUSE), link.lost.wait(), context.drain.stop.wait())


async def _turns(context: Context, link: Link, server: Server, waits: Waits) -> None:
    """Take turns until Usher stops or a hold stops the server, and then give the turn back.

    Raises what `waits` raise while a hold keeps the queue from being consumed.
    """
    await context.unwritten.write(server.name, context.journal, context.publisher)
    await _until_released(context, server, waits)
    tag, held = f"turn:{server.name}", context.journal.held(server)
    async with consume(link, topology.server_queue(server.name), tag, prefetch=1) as consumer:
        context.troubles.pop(server.name, None)
        waits = Waits(context.clock, consumer.lost, context.journal, context.drain.stop)
        turn: Turn | None = None
        active = False
        try:
            while True:
                turn = None
                delivery = await waits.unless(held).first(consumer.get())
                active = True
                turn = Turn(context, server, delivery, consumer.lost)
                await turn.run()
        except (Stopping, Held):
            if turn is None and (prefetched := await _prefetched(context, server, consumer, active=active)):
                turn = Turn(context, server, prefetched, consumer.lost)
            if turn:
                await turn.give_back()


async def _prefetched(context: Context, server: Server, consumer: Consumer, *, active: bool) -> Delivery | None:
    """The message that the broker has sent to a consumer that stops, if any.

    An `active` consumer is sent the next message as soon as it acks one, so we wait for it if the board shows a waiting
    message. If we left without taking it, the next holder would receive it as if we had died while holding it.
    """
    if active and context.journal.board.server(server.name).pending:
        with suppress(TimeoutError):
            async with asyncio.timeout(PREFETCHED_SECONDS):
                return await consumer.get()
    return await consumer.leave()
