"""Turns with a real broker and real commands."""

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import httpx
import pytest
from aio_pika import Message

from deploys.deploy import MAX_DELIVERY_COUNT
from usher.broker import topology
from usher.broker.consumer import consume
from usher.broker.publisher import Publisher
from usher.core.errors import NotConfirmed
from usher.core.events import (
    DeployEnded,
    DeployTaken,
    Event,
    MessagesRetried,
    MessagesWithdrawn,
    Outcome,
    Retry,
    TurnGivenBack,
    WindowOpened,
    decode,
    encode,
)
from usher.core.issues import Issue
from usher.core.messages import BackMessage
from usher.core.servers import Server
from usher.core.states import State
from usher.local.choose import Broker
from usher.runtime.clock import SystemClock

if TYPE_CHECKING:
    from conftest import World

BETA = "beta.abc.wwts.com"
TEST = "test.abc.wwts.com"

MakeWorld = Callable[..., Awaitable["World"]]


async def test_a_burst_of_moves_becomes_one_deploy_of_their_union(make_world: MakeWorld) -> None:
    world = await make_world()
    async with world.deploys():
        messages = await world.publish("ABC-113 beta", "ABC-111 beta", "ABC-111 beta", "ABC-20 beta", "ABC-111 beta")
        await world.until(lambda: bool(world.of("deploy.ended")))
    (note,) = [note for note in world.notes() if note["what"] == "begin"]
    assert note["issues"] == ["ABC-20", "ABC-111", "ABC-113"]
    states = [world.journal.board.state(message.id) for message in messages]
    assert states == [State.DEPLOYED, State.SUPERSEDED, State.SUPERSEDED, State.DEPLOYED, State.DEPLOYED]


async def test_a_command_sees_its_deploy_and_not_the_broker(make_world: MakeWorld) -> None:
    world = await make_world()
    async with world.deploys():
        await world.publish("ABC-1 beta", "ABC-2 beta")
        await world.until(lambda: bool(world.of("deploy.ended")))
    (note,) = [note for note in world.notes() if note["what"] == "begin"]
    (taken,) = world.of("deploy.taken")
    assert note["env"] == {
        "USHER_CONFIG": world.settings.source,
        "USHER_DEPLOY": taken.deploy,
        "USHER_SERVER": BETA,
        "USHER_ISSUES": "ABC-1 ABC-2",
        "USHER_ATTEMPT": "1",
        "USHER_FENCE": str(taken.fence),
    }


async def test_a_message_that_arrives_while_a_command_runs_is_in_the_next_deploy(make_world: MakeWorld) -> None:
    world = await make_world()
    async with world.deploys():
        block = world.block(BETA)
        await world.publish("ABC-1 beta")
        await world.until_noted(1)
        await world.publish("ABC-1 beta", "ABC-2 beta")
        block.unlink()
        await world.until(lambda: len(world.of("deploy.ended")) == 2)
    assert [note["issues"] for note in world.notes() if note["what"] == "begin"] == [["ABC-1"], ["ABC-1", "ABC-2"]]


def cancel_session() -> None:
    """Cancel the running session, as the client does when its connection goes silent."""
    (session,) = [task for task in asyncio.all_tasks() if task.get_coro().__qualname__ == "Deploys.session"]
    session.cancel()


async def test_a_deploy_that_is_cancelled_while_its_command_runs_is_not_recorded_as_never_started(
    make_world: MakeWorld,
) -> None:
    world = await make_world()
    async with world.deploys():
        block = world.block(BETA)
        await world.publish("ABC-1 beta")
        await world.until_noted(1)
        cancel_session()
        await world.until(lambda: bool(world.of("deploy.interrupted")))
        block.unlink()
    (interrupted,) = world.of("deploy.interrupted")
    assert interrupted.reason == "Usher stopped it before it had ended"


async def test_a_failed_command_gives_a_failed_result_and_frees_its_server(make_world: MakeWorld) -> None:
    world = await make_world()
    failing = world.fail(BETA)
    async with world.deploys():
        (first,) = await world.publish("ABC-1 beta")
        await world.until(lambda: len(world.of("deploy.ended")) == 1)
        failing.unlink()
        await world.publish("ABC-2 beta")
        await world.until(lambda: len(world.of("deploy.ended")) == 2)
    async with consume(world.link, topology.RESULTS, "look", prefetch=10) as results:
        failed, passed = [decode((await results.get()).body) for _ in range(2)]
    assert isinstance(failed, DeployEnded)
    assert isinstance(passed, DeployEnded)
    assert (failed.outcome, failed.exit_code, failed.reason) == (Outcome.FAILED, 2, "exit code 2")
    assert failed.output == "it went wrong\n"
    assert [str(message.issue) for message in failed.standing] == ["ABC-1"]
    assert (passed.outcome, [str(message.issue) for message in passed.standing]) == (Outcome.PASSED, ["ABC-2"])
    assert world.journal.board.state(first.id) is State.FAILED


async def test_a_retry_that_reaches_its_queue_before_the_journal_is_deployed(make_world: MakeWorld) -> None:
    world = await make_world()
    failing = world.fail(BETA)
    async with world.deploys(), world.link.publishing.raw.channel() as channel:
        (first,) = await world.publish("ABC-1 beta")
        await world.until(lambda: len(world.of("deploy.ended")) == 1)
        failing.unlink()
        again = first.again(at=first.queued_at)
        retries = (Retry(failed=first.id, next=again),)
        await world.journal.append(
            MessagesRetried(deploy=None, server=BETA, retries=retries, reason="", by="me", at=first.queued_at)
        )
        # publish it only to the server's queue: the journal's copy is late
        message = Message(encode(again), message_id=again.id)
        await channel.default_exchange.publish(message, topology.server_queue(BETA))
        await world.until(lambda: world.journal.board.state(again.id) is State.DEPLOYED)


async def test_servers_do_not_wait_for_each_other(make_world: MakeWorld) -> None:
    world = await make_world()
    async with world.deploys():
        block = world.block(BETA)
        await world.publish("ABC-1 beta", "ABC-1 test")
        await world.until(lambda: any(event.server == TEST for event in world.of("deploy.ended")))
        assert world.journal.board.server(BETA).running
        block.unlink()
        await world.until(lambda: len(world.of("deploy.ended")) == 2)


async def test_the_number_of_commands_is_limited_and_a_turn_without_a_slot_takes_nothing(
    make_world: MakeWorld,
) -> None:
    world = await make_world(DEPLOYS__PARALLEL="1", WINDOW__QUIET="0s", WINDOW__CAP="0s")
    async with world.deploys():
        block = world.block(BETA)
        await world.publish("ABC-1 beta")
        await world.until_noted(1)
        await world.publish("ABC-1 test", "ABC-2 test")
        await world.journal.barrier()
        assert len(world.of("deploy.taken")) == 1
        block.unlink()
        await world.until(lambda: len(world.of("deploy.ended")) == 2)
    begin = [note["issues"] for note in world.notes() if note["what"] == "begin"]
    assert begin == [["ABC-1"], ["ABC-1", "ABC-2"]]


async def test_messages_that_do_not_fit_into_a_batch_are_deployed_in_the_next_turn(make_world: MakeWorld) -> None:
    world = await make_world(DEPLOYS__MAX_ISSUES="2")
    async with world.deploys():
        await world.publish("ABC-3 beta", "ABC-2 beta", "ABC-1 beta", "ABC-3 beta")
        await world.until(lambda: len(world.of("deploy.ended")) == 2)
    begin = [note["issues"] for note in world.notes() if note["what"] == "begin"]
    assert begin == [["ABC-2", "ABC-3"], ["ABC-1"]]


async def test_no_message_is_left_in_the_queue_after_its_deploy(make_world: MakeWorld) -> None:
    world = await make_world()
    async with world.deploys():
        messages = await world.publish(*(f"ABC-{number} beta" for number in range(1, 30)))
        await world.until(lambda: bool(world.of("deploy.ended")))
        (last,) = await world.publish("ABC-99 beta")
        await world.until(lambda: world.journal.board.state(last.id) is State.DEPLOYED)
    assert all(world.journal.board.state(message.id) is State.DEPLOYED for message in messages)
    async with consume(world.link, topology.server_queue(BETA), "look", prefetch=10) as left:
        await world.journal.barrier()
        assert left.undelivered() is None


@pytest.mark.slow
async def test_a_stop_in_the_window_gives_the_turn_back_and_the_next_holder_need_not_wait(
    make_world: MakeWorld, caplog: pytest.LogCaptureFixture
) -> None:
    world = await make_world(WINDOW__QUIET="2s", WINDOW__CAP="2s")
    caplog.set_level("INFO")
    async with world.deploys(), asyncio.timeout(10):
        (message,) = await world.publish("ABC-1 beta")
        while "a window opened" not in caplog.text:
            await asyncio.sleep(0.01)
    assert [event.message for event in world.of("turn.given_back")] == [message.id]
    async with world.deploys():
        await world.until(lambda: bool(world.of("deploy.ended")), seconds=5)
    assert len(world.notes()) == 2


async def test_a_batch_that_a_stop_interrupts_is_deployed_again(make_world: MakeWorld) -> None:
    world = await make_world()
    async with world.deploys():
        block = world.block(BETA)
        (message,) = await world.publish("ABC-1 beta")
        await world.until_noted(1)
    assert [event.reason for event in world.of("deploy.interrupted")] == ["Usher was stopped"]
    assert world.journal.board.state(message.id) is State.WAITING
    block.unlink()
    async with world.deploys():
        await world.until(lambda: bool(world.of("deploy.ended")), seconds=5)
    assert [note["what"] for note in world.notes()] == ["begin", "begin", "end"]


async def test_an_unreadable_message_is_parked_and_later_messages_are_deployed(make_world: MakeWorld) -> None:
    world = await make_world()
    channel = await world.link.publishing.raw.channel()
    servers = await channel.get_exchange(topology.SERVERS)
    await servers.publish(Message(b'{"kind": "message", "id": "x; rm -rf /"}', message_id="by-hand"), "beta.abc")
    async with world.deploys():
        await world.publish("ABC-1 beta")
        await world.until(lambda: bool(world.of("deploy.ended")))
    async with consume(world.link, topology.PARKED, "look", prefetch=10) as parked:
        delivery = await parked.get()
    assert delivery.message_id == "by-hand"
    assert "not an Usher message" in str(delivery.headers["reason"])
    await channel.close()


@pytest.mark.parametrize("body", [b"\xff\xfe{", b"x" * 3_000_000, b"[" * 200_000, b""])
async def test_bytes_that_are_not_a_message_are_parked_unchanged(make_world: MakeWorld, body: bytes) -> None:
    world = await make_world()
    async with world.link.publishing.raw.channel() as channel:
        servers = await channel.get_exchange(topology.SERVERS)
        await servers.publish(Message(body, message_id="by-hand"), "beta.abc")
    async with world.deploys():
        await world.publish("ABC-1 beta")
        await world.until(lambda: bool(world.of("deploy.ended")))
    async with consume(world.link, topology.PARKED, "look", prefetch=10) as parked:
        assert (await parked.get()).body == body


async def test_fields_that_a_later_version_adds_to_a_message_are_ignored(make_world: MakeWorld) -> None:
    world = await make_world()
    issue, server = Issue("ABC", 1), Server(BETA, "beta", "abc")
    message = BackMessage.of(issue, server, source="api", now=1)
    body = json.dumps(json.loads(encode(message)) | {"mood": {"of": "the day"}}).encode()
    async with world.link.publishing.raw.channel() as channel:
        exchange = await channel.get_exchange(topology.MESSAGES)
        await exchange.publish(Message(body, message_id=message.id), "beta.abc")
    async with world.deploys():
        await world.until(lambda: bool(world.of("deploy.ended")))
    assert world.journal.board.state(message.id) is State.DEPLOYED


@pytest.mark.slow
async def test_a_window_is_announced_once_however_many_messages_arrive(make_world: MakeWorld) -> None:
    world = await make_world(WINDOW__QUIET="2s", WINDOW__CAP="2s")
    async with world.deploys():
        await world.until_consumed(BETA)
        (message,) = await world.publish("ABC-1 beta")
        await world.until(lambda: bool(world.of("window.opened")))
        await world.publish("ABC-2 beta", "ABC-3 beta")
        await world.until(lambda: bool(world.of("deploy.ended")))
    (opened,) = world.of("window.opened")
    assert (opened.server, opened.message) == (BETA, message.id)
    assert message.queued_at <= opened.at <= opened.closes_at == message.queued_at + 2000


@pytest.mark.slow
async def test_a_move_that_arrives_during_the_wait_for_a_slot_does_not_open_the_window_again(
    make_world: MakeWorld, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    world = await make_world(DEPLOYS__PARALLEL="1", WINDOW__QUIET="2s", WINDOW__CAP="50s")
    async with world.deploys():
        block = world.block(TEST)
        await world.publish("ABC-1 test")
        await world.until_noted(1)
        await world.publish("ABC-2 beta")
        async with asyncio.timeout(20):
            while "waiting for one of 1 slots" not in caplog.text:
                await asyncio.sleep(0.01)
        (late,) = await world.publish("ABC-3 beta")
        await world.until(lambda: late.id in world.journal.board.server(BETA).open)
        block.unlink()
        await world.until(lambda: len(world.of("deploy.taken")) == 2)
    taken = world.of("deploy.taken")[1]
    assert isinstance(taken, DeployTaken)
    assert late.id in taken.messages
    assert taken.taken_at < late.queued_at + 2000


async def test_a_window_ends_when_all_its_messages_are_withdrawn_and_a_later_message_opens_another(
    make_world: MakeWorld,
) -> None:
    world = await make_world(WINDOW__QUIET="50s", WINDOW__CAP="50s")
    async with world.deploys():
        (withdrawn,) = await world.publish("ABC-1 beta")
        await world.until(lambda: bool(world.of("window.opened")))
        await world.journal.append(MessagesWithdrawn(server=BETA, messages=(withdrawn.id,), by="me", at=0))
        (later,) = await world.publish("ABC-2 beta")
        await world.until(lambda: len(world.of("window.opened")) == 2)
    windows = world.of("window.opened")
    assert [(window.message, window.closes_at) for window in windows if isinstance(window, WindowOpened)] == [
        (message.id, message.queued_at + 50_000) for message in (withdrawn, later)
    ]


async def test_a_window_that_cannot_be_announced_does_not_end_the_turn(
    make_world: MakeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    world, publish = await make_world(), Publisher.event

    async def refuse_windows(self: Publisher, event: Event, message_id: str) -> None:
        if isinstance(event, WindowOpened):
            raise NotConfirmed(what="it", why="the broker says no")
        await publish(self, event, message_id)

    monkeypatch.setattr(Publisher, "event", refuse_windows)
    async with world.deploys():
        await world.publish("ABC-1 beta")
        await world.until(lambda: bool(world.of("deploy.ended")))
    assert world.of("window.opened") == []
    assert len(world.of("deploy.taken")) == 1


async def test_a_message_that_is_redelivered_many_times_is_deployed_alone(
    make_world: MakeWorld, caplog: pytest.LogCaptureFixture
) -> None:
    world = await make_world(WINDOW__QUIET="0s", WINDOW__CAP="0s", BROKER__HEARTBEAT="1s", DEPLOYS__SILENCE="200ms")
    first, again, _ = await world.publish("ABC-1 beta", "ABC-1 beta", "ABC-2 beta")
    for _ in range(MAX_DELIVERY_COUNT + 2):
        async with consume(world.link, topology.server_queue(BETA), "dies", prefetch=1) as dies:
            assert (await dies.get()).message_id == first.id
    # given back, so that the next holder need not wait, and this return does not count
    await world.journal.append(
        TurnGivenBack(server=BETA, message=first.id, holder="dies", delivery_count=MAX_DELIVERY_COUNT + 1)
    )
    async with world.deploys():
        await world.until(lambda: len(world.of("deploy.ended")) == 2)
    assert [set(event.messages) >= {first.id, again.id} for event in world.of("deploy.taken")] == [True, False]
    assert [note["issues"] for note in world.notes() if note["what"] == "begin"] == [["ABC-1"], ["ABC-2"]]
    assert caplog.text.count(f"message {first.id} was redelivered") == 1


async def test_an_orderly_end_of_a_turn_waives_the_take_over_wait_only_for_the_next_delivery(
    make_world: MakeWorld, caplog: pytest.LogCaptureFixture
) -> None:
    """A later holder may be running a command whose taking was lost with the journal's tail."""
    caplog.set_level("INFO")
    world = await make_world(BROKER__HEARTBEAT="10s")
    (message,) = await world.publish("ABC-1 beta")
    await held_and_left(world)
    await world.journal.append(TurnGivenBack(server=BETA, message=message.id, holder="in order", delivery_count=0))
    await held_and_left(world)
    async with world.deploys(), asyncio.timeout(10):
        while "may still be running" not in caplog.text:
            await asyncio.sleep(0.01)
    assert world.of("deploy.taken") == []


async def test_a_redelivered_message_that_is_settled_is_acked_only_after_the_take_over_wait(
    make_world: MakeWorld, caplog: pytest.LogCaptureFixture
) -> None:
    """Its previous holder may have taken other messages too, and the journal may have lost that taking. If the message
    were acked at once, the next one would arrive as if nobody had held the turn."""
    caplog.set_level("INFO")
    world = await make_world(BROKER__HEARTBEAT="10s")
    (message,) = await world.publish("ABC-1 beta")
    await held_and_left(world)
    await world.journal.append(MessagesWithdrawn(server=BETA, messages=(message.id,), by="me", at=0))
    await world.publish("ABC-2 beta")
    async with world.deploys(), asyncio.timeout(10):
        while "may still be running" not in caplog.text:
            await asyncio.sleep(0.01)
    assert world.of("deploy.taken") == []


async def held_and_left(world: "World") -> None:
    """Somebody takes the turn and vanishes."""
    async with consume(world.link, topology.server_queue(BETA), "vanishes", prefetch=1) as vanishes:
        await vanishes.get()


async def test_a_message_for_another_server_is_parked(make_world: MakeWorld) -> None:
    world = await make_world()
    message = BackMessage.of(Issue("ABC", 1), Server("beta.abc.old", "beta", "abc"), source="api", now=1)
    await world.publisher.message(message)
    async with world.deploys():
        await world.publish("ABC-2 beta")
        await world.until(lambda: bool(world.of("deploy.ended")))
    async with consume(world.link, topology.PARKED, "look", prefetch=10) as parked:
        delivery = await parked.get()
    assert delivery.message_id == message.id
    assert "it is for beta.abc.old, but in the queue of beta.abc.wwts.com" in str(delivery.headers["reason"])


async def test_a_message_that_cannot_be_parked_stops_no_other_server(make_world: MakeWorld, broker: Broker) -> None:
    world = await make_world()
    vhost = world.settings.broker.url[0].get_secret_value().rpartition("/")[2]
    async with httpx.AsyncClient(base_url=broker.console, auth=broker.credentials) as console:
        policy = {"pattern": "^usher.parked$", "definition": {"max-length": 0, "overflow": "reject-publish"}}
        (await console.put(f"/api/policies/{vhost}/full", json=policy)).raise_for_status()
    channel = await world.link.publishing.raw.channel()
    await (await channel.get_exchange(topology.SERVERS)).publish(Message(b"rubbish", message_id="by-hand"), "beta.abc")
    async with world.deploys():
        await world.publish("ABC-1 test")
        await world.until(lambda: bool(world.of("deploy.ended")))
    assert world.of("deploy.interrupted") == []
    await channel.close()


async def test_deleting_the_journal_loses_no_message(make_world: MakeWorld) -> None:
    world = await make_world()
    await world.publish("ABC-1 beta", "ABC-2 beta", "ABC-1 beta")
    channel = await world.link.publishing.raw.channel()
    await channel.queue_delete(topology.JOURNAL)
    world = await make_world()
    async with world.deploys():
        await world.until(lambda: bool(world.of("deploy.ended")))
    assert [note["issues"] for note in world.notes() if note["what"] == "begin"] == [["ABC-1", "ABC-2"]]
    await channel.close()


async def test_an_issue_of_another_project_is_parked_and_withdrawn_and_its_server_goes_on(
    make_world: MakeWorld,
) -> None:
    world = await make_world()
    (first,) = await world.publish("ABC-1 beta")
    foreign = replace(first, issue=Issue.parse("DEF-9"), id="9" * 32)
    async with world.link.publishing.raw.channel() as channel:
        for exchange, key in ((topology.SERVERS, "beta.abc"), (topology.FACTS, "message")):
            body = Message(encode(foreign), message_id=foreign.id)
            await (await channel.get_exchange(exchange)).publish(body, key)
    async with world.deploys():
        await world.until(lambda: bool(world.of("deploy.ended")) and bool(world.of("messages.withdrawn")))
        await world.publish("ABC-2 beta")
        await world.until(lambda: len(world.of("deploy.ended")) == 2)
    assert [note["issues"] for note in world.notes() if note["what"] == "begin"] == [["ABC-1"], ["ABC-2"]]
    assert world.journal.board.state(foreign.id) is State.WITHDRAWN
    async with consume(world.link, topology.PARKED, "look", prefetch=10) as parked:
        assert (await parked.get()).message_id == foreign.id


@pytest.mark.parametrize("far", [2**63 - 1, 10**18])
async def test_an_event_with_an_impossible_number_delays_nobody(make_world: MakeWorld, far: int) -> None:
    world = await make_world()
    (message,) = await world.publish("ABC-1 beta")
    poison = (
        DeployTaken(deploy="0" * 12, server=BETA, holder="x", fence=far, messages=(message.id,), taken_at=1),
        TurnGivenBack(server=BETA, message=message.id, holder="x", wait_left=far, delivery_count=0),
    )
    for event in poison:
        await world.journal.append(event)
    async with world.deploys():
        await world.until(lambda: bool(world.of("deploy.ended")))


async def test_a_retry_is_deployed_at_once_with_everything_that_is_pending(make_world: MakeWorld) -> None:
    world = await make_world(WINDOW__QUIET="60s", WINDOW__CAP="60s")
    async with world.deploys():
        await world.publish("ABC-2 beta")
        await world.until(lambda: bool(world.of("window.opened")))
        now = SystemClock().now()
        for key in ("ABC-1", "DEF-1"):
            issue = Issue.parse(key)
            failed = BackMessage.of(issue, world.settings.catalogue.find(issue.project, "beta"), source="api", now=now)
            await world.publisher.message(failed.again(now))
        await world.until(lambda: len(world.of("deploy.ended")) == 2)
    deployed = {event.server: [str(message.issue) for message in event.standing] for event in world.of("deploy.ended")}
    assert deployed == {BETA: ["ABC-1", "ABC-2"], "beta.def.wwts.com": ["DEF-1"]}


async def test_messages_for_a_deleted_queue_are_kept_as_unrouted(make_world: MakeWorld) -> None:
    world = await make_world()
    channel = await world.link.publishing.raw.channel()
    await channel.queue_delete(topology.server_queue(BETA))
    (message,) = await world.publish("ABC-1 beta")
    async with consume(world.link, topology.UNROUTED, "look", prefetch=10) as unrouted:
        assert (await unrouted.get()).message_id == message.id
    await channel.close()


async def test_deleting_a_queue_during_a_deploy_stops_the_command(make_world: MakeWorld) -> None:
    world = await make_world()
    async with world.deploys():
        world.block(BETA)
        await world.publish("ABC-1 beta")
        await world.until_noted(1)
        channel = await world.link.publishing.raw.channel()
        await channel.queue_delete(topology.server_queue(BETA))
        await world.until(lambda: bool(world.of("deploy.interrupted")))
        assert [event.reason for event in world.of("deploy.interrupted")] == ["the turn was lost"]
        await channel.close()


@pytest.mark.slow
async def test_a_closed_connection_stops_the_command_and_the_batch_is_deployed_again(
    make_world: MakeWorld, broker: Broker
) -> None:
    world = await make_world()
    async with world.deploys(), httpx.AsyncClient(base_url=broker.console, auth=broker.credentials) as console:
        block = world.block(BETA)
        await world.publish("ABC-1 beta")
        await world.until_noted(1)
        await close_connections(console, "deploys@", world.settings.broker.url[0].get_secret_value().rpartition("/")[2])
        await world.until(lambda: bool(world.of("deploy.interrupted")))
        block.unlink()
        await world.until(lambda: bool(world.of("deploy.ended")))
    assert [note["what"] for note in world.notes()] == ["begin", "begin", "end"]


async def close_connections(console: httpx.AsyncClient, prefix: str, vhost: str) -> None:
    """Close that vhost's connections whose name starts with `prefix`, as an operator would."""
    closed = 0
    async with asyncio.timeout(20):
        while not closed:  # the console learns of a connection some seconds late
            for connection in (await console.get(f"/api/vhosts/{vhost}/connections")).json():
                if str(connection.get("client_properties", {}).get("connection_name", "")).startswith(prefix):
                    (await console.delete(f"/api/connections/{connection['name']}")).raise_for_status()
                    closed += 1
            await asyncio.sleep(0.1)
