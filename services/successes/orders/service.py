"""Orders, wired: a connection and a reader of the journal of their own, so that no fault of the ledger stops them."""

import asyncio
import logging
from datetime import timedelta

from successes.ledger.ledger import Ledger
from successes.orders.carrying import PREFETCH, Carrying
from successes.orders.desk import Desk, Session
from successes.orders.refusals import Refusals
from successes.orders.sweep import sweep_orders
from usher.broker import topology
from usher.broker.consumer import consume
from usher.broker.journal import follow
from usher.broker.link import Link
from usher.broker.places import Memory
from usher.broker.publisher import Publisher
from usher.core.errors import BrokerError
from usher.core.versions import NotUnderstood
from usher.runtime.clock import Clock
from usher.runtime.tasks import until_first
from usher.settings import Settings

log = logging.getLogger(__name__)

MILLISECOND = timedelta(milliseconds=1)
PAUSE = 5.0
"""Seconds before something that is not understood is tried again."""


class Orders:
    """`session` is one connection's life; the desk and what was read of the journal outlive it."""

    def __init__(self, settings: Settings, ledger: Ledger, stop: asyncio.Event, clock: Clock) -> None:
        self.desk = Desk(ledger, clock)
        self._settings = settings
        self._refusals = Refusals(ledger, settings.catalogue)
        self._stop = stop
        self._clock = clock
        self._memory = Memory()
        self._not_understood: NotUnderstood | None = None

    async def session(self, link: Link) -> None:
        """Take orders and carry them out, until `stop` is set or the link is lost.

        Raises BrokerError only if it could not begin.
        """
        await topology.declare(link, self._settings.catalogue, self._settings.retries.every_delay)
        publisher = await Publisher.open(link, "successes")
        while await self._follow(link, publisher):
            log.info("reading the journal again, for orders")

    async def unready(self) -> str | None:
        """Why orders cannot be taken now; None if they can."""
        if why := self._not_understood or self._memory.halted:
            return str(why)
        return await self.desk.unready()

    async def _follow(self, link: Link, publisher: Publisher) -> bool:
        """Take orders and carry them out; whether that ended with something that is not understood."""
        async with (
            follow(link, publisher, self._clock, "journal:orders", self._memory, stop=self._stop) as journal,
            consume(link, topology.ORDERS, "orders", prefetch=PREFETCH) as consumer,
        ):
            self._not_understood = None
            carrying = Carrying(journal, publisher, self._refusals, self._clock)
            self.desk.open(Session(link, journal, publisher))
            log.info("orders are taken")
            try:
                await until_first(
                    carrying.run(consumer),
                    sweep_orders(journal, publisher, self._clock, self._settings.successes.sweep // MILLISECOND),
                    journal.halted.wait(),
                    self._stop_set(),
                )
            except NotUnderstood as fault:
                self._not_understood = fault
                log.error("%s. No order is taken until then", fault)
            except BrokerError as fault:
                log.warning("%s", fault)
            finally:
                self.desk.close()
        if self._not_understood:
            # it came from the queue, which may be faster than the journal
            await until_first(self._stop_set(), self._clock.sleep(PAUSE))
        return bool(self._not_understood or self._memory.halted) and not self._stop.is_set()

    async def _stop_set(self) -> None:
        await self._stop.wait()
