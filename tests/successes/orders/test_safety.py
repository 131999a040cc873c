"""Orders are carried out exactly once, even if answers, connections, the database or the journal are lost."""

import asyncio

import pytest
from aio_pika import Message

from ordering import BETA, api, asking, facts, new_id, parked, until
from successes.ledger.ledger import Ledger, LedgerFault
from successes.orders.carrying import Carrying
from usher.broker import topology
from usher.broker.publisher import Publisher
from usher.core.errors import NotConfirmed
from usher.core.events import MessagesRetried, MessagesWithdrawn
from usher.core.orders import OrderDone, WithdrawOrder


def ids(state):
    return [message["id"] for message in state["messages"]]


def withdrawal(*issues, order=None):
    """An order as trackers publishes it."""
    return WithdrawOrder(id=order or new_id(), by="ann", at=1, servers=(BETA,), issues=issues)


async def read(world, kind, count):
    """Wait until the journal has that many events of that kind."""
    await until(lambda: sum(isinstance(event, kind) for event in world.seen) >= count)
    return await facts(world, kind)


async def test_an_order_that_is_sent_again_with_the_same_id_is_answered_but_not_carried_out_again(world, ask):
    await parked(world, "ABC-111", "ABC-112")
    order = new_id()
    first = await ask.order("retry", id=order, issues=["ABC-111"])
    await ask.order("drop", issues=["ABC-112"])
    [later] = await world.published("ABC-111")
    assert await ask.order("retry", id=order, issues=["ABC-111"]) == first
    assert len(await facts(world, MessagesRetried)) == 1
    await until(lambda: world.orders.desk.board.state(later.id) == "waiting")


async def test_an_order_that_reached_only_the_journal_is_published_again_when_it_is_repeated(world, ask):
    await world.published("ABC-111")
    order = withdrawal("ABC-111")
    await world.journal.append(order)
    await until(lambda: world.orders.desk.board.orders.get(order.id) is not None)
    answer = await ask.order("withdraw", id=order.id, issues=["ABC-111"])
    assert (answer["state"], len(await facts(world, MessagesWithdrawn))) == ("done", 1)


async def test_the_id_of_another_order_is_refused(world, ask):
    order = new_id()
    await ask.order("withdraw", id=order, issues=["ABC-111"])
    answer = await ask.answer("drop", id=order, issues=["ABC-111"])
    assert (answer.status_code, "use a new id" in answer.json()["detail"]) == (422, True)


async def test_an_order_that_is_sent_to_two_replicas_at_the_same_time_is_carried_out_once(make_world):
    world, other = await make_world(RETRIES__DELAYS="[]"), await make_world(RETRIES__DELAYS="[]", watching=False)
    async with asking(world) as here, asking_beside(other) as there:
        [message], _ = await parked(world, "ABC-111")
        order = new_id()
        first, second = await asyncio.gather(
            here.order("retry", id=order, issues=["ABC-111"]), there.order("retry", id=order, issues=["ABC-111"])
        )
        assert first == second
        assert ids(first) == [message.again(0).id]
        await until(lambda: world.orders.desk.board.orders.get(order).done_at is not None)
        assert len(await facts(world, OrderDone)) == 1
        assert len(await facts(world, MessagesRetried)) == 1


def asking_beside(world):
    """A second replica. The first one watches what both park."""

    async def nothing() -> None:
        """The first replica's world waits until results are handled."""

    world.handled = nothing
    return asking(world)


async def test_an_order_is_carried_out_once_by_the_next_process_after_a_crash(world, monkeypatch):
    """The first process dies after it has written the decision, before it publishes the next attempt."""
    crashed = asyncio.Event()
    publishes = Carrying._publish_nexts

    async def dies(self, entry):
        crashed.set()
        await asyncio.Event().wait()

    async with asking(world) as ask:
        [message], _ = await parked(world, "ABC-111")
        monkeypatch.setattr(Carrying, "_publish_nexts", dies)
        given = asyncio.create_task(ask.answer("retry", server=BETA))
        await asyncio.wait_for(crashed.wait(), 10)
    answer = (await given).json()
    assert (answer["state"], ids(answer)) == ("requested", [message.again(0).id])
    monkeypatch.setattr(Carrying, "_publish_nexts", publishes)
    async with asking(world) as ask:
        await read(world, OrderDone, 1)
        assert ids(await ask.get(f"orders/{answer['id']}")) == ids(answer)
        assert message.again(0).id in await world.waits_in(topology.server_queue(BETA))
        assert len(await facts(world, MessagesRetried)) == 1


async def test_an_order_that_takes_too_long_is_answered_with_its_id_and_carried_out_later(world, ask, monkeypatch):
    go_on = asyncio.Event()
    carries_out = Carrying._carry_out

    async def waits(self, entry):
        await go_on.wait()
        await carries_out(self, entry)

    monkeypatch.setattr(Carrying, "_carry_out", waits)
    monkeypatch.setattr("successes.orders.desk.SECONDS", 0.2)
    [message] = await world.published("ABC-111")
    answer = await ask.answer("withdraw", issues=["ABC-111"])
    assert (answer.status_code, answer.json()["state"]) == (202, "requested")
    [later] = await world.published("ABC-111")
    await world.journal.barrier()
    go_on.set()
    await read(world, OrderDone, 1)
    path = f"orders/{answer.json()['id']}"
    await until(lambda: world.orders.desk.board.state(message.id) == "withdrawn")
    state = await ask.get(path)
    assert (state["state"], ids(state)) == ("done", [message.id])
    assert world.orders.desk.board.state(later.id) == "waiting"


async def test_an_order_that_is_not_confirmed_can_be_sent_again_with_the_same_id(world, ask, monkeypatch):
    [message], _ = await parked(world, "ABC-111")
    publishes, failed = Publisher.order, asyncio.Event()

    async def confirms_late(publisher, order):
        await publishes(publisher, order)
        if not failed.is_set():
            failed.set()
            raise NotConfirmed(what="it", why="no answer")

    monkeypatch.setattr(Publisher, "order", confirms_late)
    order = new_id()
    first = await ask.answer("retry", id=order, issues=["ABC-111"])
    assert (first.status_code, first.headers["retry-after"]) == (503, "10")
    assert f"it is safe to send it again with the same id: {order}" in first.json()["detail"]
    second = await ask.order("retry", id=order, issues=["ABC-111"])
    assert ids(second) == [message.again(0).id]
    assert len(await facts(world, MessagesRetried)) == 1


async def test_a_withdrawal_from_trackers_is_carried_out_and_shown_with_who_gave_it(world, ask):
    [message] = await world.published("ABC-111")
    order = withdrawal(message.issue)
    await world.publisher.order(order)
    await read(world, OrderDone, 1)
    await until(lambda: world.orders.desk.board.state(message.id) == "withdrawn")
    assert (await ask.get(f"orders/{order.id}"))["by"] == "ann"


async def test_an_order_that_cannot_be_read_is_parked_for_a_person(world, ask):
    channel = await world.link.publishing.raw.channel()
    exchange = await channel.get_exchange(topology.ORDERS, ensure=False)
    await exchange.publish(Message(b"{}", message_id="odd"), "withdraw")
    async with asyncio.timeout(10):
        delivery = await world._parked.get()
    assert delivery.message_id == "odd"
    assert "not an Usher message" in str(delivery.headers["reason"])
    assert (await ask.order("withdraw", issues=["ABC-111"]))["state"] == "done"


async def lose_the_journal(world):
    """Delete the journal, and declare an empty one."""
    async with world.link.publishing.raw.channel() as channel:
        await channel.queue_delete(topology.JOURNAL)
    await topology.declare(world.link, world.settings.catalogue, world.settings.retries.every_delay)


async def test_an_order_whose_journal_entry_is_lost_is_republished_and_carried_out(make_world):
    world = await make_world(RETRIES__DELAYS="[]")
    order = withdrawal(world.make.message("ABC-111").issue)
    await world.publisher.order(order)
    await lose_the_journal(world)
    async with world.running(), api(world) as client:
        await until(lambda: world.orders.desk._session is not None)
        await until(lambda: (entry := world.orders.desk.board.orders.get(order.id)) and entry.done_at is not None)
        assert (await client.get(f"/api/orders/{order.id}")).json()["by"] == "ann"


async def test_an_order_that_is_only_in_the_journal_is_republished_after_a_while(make_world):
    world = await make_world(RETRIES__DELAYS="[]", SUCCESSES__SWEEP="1s")
    [message] = await world.published("ABC-111")
    order = withdrawal(message.issue)
    await world.journal.append(order)
    async with world.running():
        await until(lambda: world.orders.desk._session is not None)
        await until(lambda: world.orders.desk.board.orders.get(order.id).done_at is not None)
        assert world.orders.desk.board.state(message.id) == "withdrawn"


class TestWhileTheDatabaseIsDown:
    @pytest.fixture
    async def ask(self, world, monkeypatch):
        """Give orders after the database went down. Messages were parked before that."""

        def down(self, *_: object):
            raise LedgerFault(path="the ledger", done="read", why="no answer", check="PostgreSQL answers there")

        async with asking(world) as asked:
            _, self.ended = await parked(world, "ABC-111")
            monkeypatch.setattr(Ledger, "_try", down)
            monkeypatch.setattr(Ledger, "reading", down)
            yield asked

    async def test_orders_are_carried_out_and_the_last_state_of_unchanged_issues_is_unknown(self, world, ask):
        [message] = await world.published("ABC-112")
        assert ids(await ask.order("withdraw", issues=["ABC-112"])) == [message.id]
        assert len(ids(await ask.order("retry", issues=["ABC-111"]))) == 1
        [left] = (await ask.order("drop", server=BETA, issues=["ABC-113"]))["left"]
        assert left["why"] == "it is not parked; the ledger cannot be read now, so what happened to it is unknown"
        assert (await ask.get("orders"))["total"] == 3

    async def test_only_the_retry_of_a_past_deploy_is_refused(self, world, ask):
        answer = await ask.answer("retry", deploy=self.ended.deploy)
        assert answer.status_code == 503
        assert "cannot be read" in answer.json()["detail"]
        assert await facts(world, MessagesWithdrawn) == []
