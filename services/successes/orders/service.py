"""The wiring of orders. They have their own connection and journal reader, so they do not depend on the ledger."""

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
from usher.broker.expiry import expire_holds
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
"""Seconds before retrying after an order that this version does not understand."""


class Orders:
    """Accepts and carries out orders. The desk and the board outlive a session, which is one connection's life."""

    def __init__(self, settings: Settings, ledger: Ledger, stop: asyncio.Event, clock: Clock) -> None:
        self.desk = Desk(ledger, clock)
        self._settings = settings
        self._refusals = Refusals(ledger, settings.catalogue)
        self._stop = stop
        self._clock = clock
        self._memory = Memory()
        self._not_understood: NotUnderstood | None = None

    async def session(self, link: Link) -> None:
        """Accept and carry out orders, until `stop` is set or the link is lost.

        Raises BrokerError only if it cannot start.
        """
        await topology.declare(link, self._settings.catalogue, self._settings.retries.every_delay)
        publisher = await Publisher.open(link, "successes")
        while await self._follow(link, publisher):
            log.info("reading the journal of orders again")

    async def unready(self) -> str | None:
        """Why orders cannot be accepted now; None if they can."""
        if why := self._not_understood or self._memory.halted:
            return str(why)
        return await self.desk.unready()

    async def _follow(self, link: Link, publisher: Publisher) -> bool:
        """Accept and carry out orders. Returns whether to read the journal again (something was not understood)."""
        async with (
            follow(link, publisher, self._clock, "journal:orders", self._memory, stop=self._stop) as journal,
            consume(link, topology.ORDERS, "orders", prefetch=PREFETCH) as consumer,
        ):
            self._not_understood = None
            carrying = Carrying(journal, publisher, self._refusals, self._clock)
            self.desk.open(Session(link, journal, publisher))
            log.info("accepting orders")
            try:
                await until_first(
                    carrying.run(consumer),
                    carrying.ack_ended(),
                    expire_holds(journal, self._clock),
                    sweep_orders(journal, publisher, self._clock, self._settings.successes.sweep // MILLISECOND),
                    journal.halted.wait(),
                    self._stop_set(),
                )
            except NotUnderstood as fault:
                self._not_understood = fault
                log.error("%s. No orders are accepted until then", fault)
            except BrokerError as fault:
                log.warning("%s", fault)
            finally:
                self.desk.close()
        if self._not_understood:
            # it came from the queue, which can be faster than the journal
            await until_first(self._stop_set(), self._clock.sleep(PAUSE))
        return bool(self._not_understood or self._memory.halted) and not self._stop.is_set()

    async def _stop_set(self) -> None:
        await self._stop.wait()
