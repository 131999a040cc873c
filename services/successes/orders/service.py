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
from usher.broker.publisher import Publisher
from usher.broker.reading import Memory
from usher.core.errors import BrokerError
from usher.runtime.clock import Clock
from usher.runtime.tasks import until_first
from usher.settings import Settings

log = logging.getLogger(__name__)

MILLISECOND = timedelta(milliseconds=1)


class Orders:
    """`session` is one connection's life; the desk and what was read of the journal outlive it."""

    def __init__(self, settings: Settings, ledger: Ledger, stop: asyncio.Event, clock: Clock) -> None:
        self.desk = Desk(ledger, clock)
        self._settings = settings
        self._refusals = Refusals(ledger, settings.catalogue)
        self._stop = stop
        self._clock = clock
        self._memory = Memory()

    async def session(self, link: Link) -> None:
        """Take orders and carry them out, until `stop` is set or the link is lost.

        Raises BrokerError only if it could not begin.
        """
        await topology.declare(link, self._settings.catalogue, self._settings.retries.every_delay)
        publisher = await Publisher.open(link, "successes")
        async with (
            follow(link, publisher, self._clock, "journal:orders", self._memory) as journal,
            consume(link, topology.ORDERS, "orders", prefetch=PREFETCH) as consumer,
        ):
            carrying = Carrying(journal, publisher, self._refusals, self._clock)
            self.desk.open(Session(link, journal, publisher))
            log.info("orders are taken")
            try:
                await until_first(
                    carrying.run(consumer),
                    sweep_orders(journal, publisher, self._clock, self._settings.successes.sweep // MILLISECOND),
                    self._stop_set(),
                )
            except BrokerError as fault:
                log.warning("%s", fault)
            finally:
                self.desk.close()

    async def _stop_set(self) -> None:
        await self._stop.wait()
