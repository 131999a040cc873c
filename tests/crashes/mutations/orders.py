"""Bugs of orders: when they are carried out, how often, and on which messages."""

from typing import Any

from crashes.mutations.planting import Method, instead, mutation, put
from successes.orders import carrying
from successes.orders.carrying import Carrying
from successes.orders.desk import Desk
from usher.core.board.entries import Unsettled
from usher.core.board.ordered import Ordered, meant
from usher.core.board.orders import Orders
from usher.core.board.server import ServerBoard
from usher.core.errors import Unreadable
from usher.core.events import decode_order


class Unacked:
    """A delivery whose ack does nothing."""

    def __init__(self, real: Any) -> None:
        self._real = real

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    async def ack(self) -> None:
        """Do nothing: it has already been acked."""


@mutation("order: a crash before it is carried out, together with a journal that loses its tail, loses it")
def order_acked_before_it_is_carried_out() -> None:
    def make(real: Method) -> Method:
        async def take(self: Carrying, delivery: Any) -> None:
            await delivery.ack()
            await real(self, Unacked(delivery))

        return take

    instead(Carrying, "_take", make)


@mutation("10: a hold is lost with the journal's tail, because its queue no longer has it")
def hold_acked_before_it_has_ended() -> None:
    def make(real: Method) -> Method:
        async def take(self: Carrying, delivery: Any) -> None:
            await real(self, delivery)
            for hold in [*self._standing]:
                await self._standing.pop(hold).ack()

        return take

    instead(Carrying, "_take", make)


@mutation("order: moves that arrive after the order are withdrawn too")
def order_carried_out_on_what_is_newer() -> None:
    def due(entry: Ordered, server: str, board: ServerBoard) -> tuple[Unsettled, ...]:
        ids = {message.id for message in meant(entry.order, board)}
        return tuple(known for known in board.messages() if known.message.id in ids)

    put(carrying, "due", due)


@mutation("order: after a crash that follows the decision, only the sweep publishes the next attempts")
def next_attempts_of_a_crashed_try_not_published() -> None:
    granted: set[str] = set()

    def note(real: Method) -> Method:
        def fact(self: Carrying, *arguments: Any) -> Any:
            made = real(self, *arguments)
            granted.update(retry.next.id for retry in getattr(made, "retries", ()))
            return made

        return fact

    def forget(real: Method) -> Method:
        def unpublished(*arguments: Any) -> Any:
            nexts = [message for message in real(*arguments) if message.id in granted]
            granted.difference_update(message.id for message in nexts)
            return nexts

        return unpublished

    def start(real: Method) -> Method:
        async def carry_out(self: Carrying, entry: Ordered) -> None:
            granted.clear()
            await real(self, entry)

        return carry_out

    instead(Carrying, "_fact", note)
    put(carrying, "_unpublished", forget(carrying._unpublished))
    instead(Carrying, "_carry_out", start)


@mutation("order: an order that is sent again after a lost answer is carried out again")
def order_whose_id_is_forgotten() -> None:
    def make(real: Method) -> Method:
        def give(self: Orders, order: Any, servers: Any) -> None:
            self.entries.pop(order.id, None)
            real(self, order, servers)

        return give

    instead(Orders, "give", make)
    put(Desk, "known", lambda self, kind, order: None)


@mutation("order: an order that the journal loses is never carried out")
def order_that_the_journal_lost_not_published_again() -> None:
    def make(real: Method) -> Method:
        async def take(self: Carrying, delivery: Any) -> None:
            try:
                known = self._board.orders.get(decode_order(delivery.body).id)
            except Unreadable:
                known = None
            if known is None:
                await delivery.ack()
            else:
                await real(self, delivery)

        return take

    instead(Carrying, "_take", make)
