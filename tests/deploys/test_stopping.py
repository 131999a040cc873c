"""Stopping: no turn is taken, commands get time to finish, killed batches are deployed again, turns are given back."""

import asyncio
import signal
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import pytest

from deploys.waits import Stopping, Waits
from usher.broker import topology
from usher.broker.consumer import Consumer, Delivery, consume
from usher.broker.port import Channel, Delivered, Envelope
from usher.core.states import State
from usher.core.versions import NotUnderstood
from usher.runtime.clock import SystemClock
from usher.runtime.tasks import first

if TYPE_CHECKING:
    from conftest import Program, World
    from usher.broker.journal import Journal

BETA = "beta.abc.wwts.com"
TEST = "test.abc.wwts.com"
STAGE = "stage.abc.wwts.com"

MakeWorld = Callable[..., Awaitable["World"]]


@pytest.mark.slow
async def test_a_stop_lets_commands_finish_and_gives_all_other_turns_back_at_once(make_world: MakeWorld) -> None:
    world = await make_world(DEPLOYS__DRAIN="1h", WINDOW__QUIET="2s", WINDOW__CAP="2s")
    async with world.deploys() as service:
        await world.until_consumed(TEST)
        block = world.block(BETA)
        (runs,) = await world.publish("ABC-1 beta")
        await world.until_noted(1)
        (waits,) = await world.publish("ABC-1 test")
        await world.until(lambda: any(event.server == TEST for event in world.of("window.opened")))
        service.drain.stop.signal()
        await world.until(lambda: bool(world.of("turn.given_back")))
        assert await service.unready()
        (idle,) = await world.publish("ABC-1 stage")
        assert world.journal.board.server(BETA).running
        block.unlink()
        await world.until(lambda: bool(world.of("deploy.ended")))
    states = [world.journal.board.state(message.id) for message in (runs, waits, idle)]
    assert states == [State.DEPLOYED, State.WAITING, State.WAITING]
    (ended,) = world.of("deploy.ended")
    assert service.drain.summary() == f"finished deploy {ended.deploy} of {BETA}"
    assert [event.server for event in world.of("deploy.taken")] == [BETA]
    async with consume(world.link, topology.RESULTS, "look", prefetch=10) as results:
        assert (await results.get()).message_id == ended.deploy
    async with consume(world.link, topology.server_queue(BETA), "look", prefetch=10) as left:
        await world.journal.barrier()
        assert left.undelivered() is None


async def test_commands_that_have_not_finished_when_the_drain_ends_are_killed(make_world: MakeWorld) -> None:
    world = await make_world(DEPLOYS__DRAIN="300ms")
    async with world.deploys() as service:
        world.block(BETA)
        block = world.block(TEST)
        await world.publish("ABC-1 beta", "ABC-1 test")
        await world.until_noted(2)
        service.drain.stop.signal()
        block.unlink()
        await world.until(lambda: bool(world.of("deploy.ended") and world.of("deploy.interrupted")))
    (ended,), (killed,) = world.of("deploy.ended"), world.of("deploy.interrupted")
    assert (ended.server, killed.server, killed.reason) == (TEST, BETA, "Usher was stopped")
    summary = f"finished deploy {ended.deploy} of {TEST}; killed deploy {killed.deploy} of {BETA}"
    assert service.drain.summary() == summary


async def test_a_second_signal_kills_commands_at_once(make_world: MakeWorld) -> None:
    world = await make_world(DEPLOYS__DRAIN="1h")
    async with world.deploys() as service:
        world.block(BETA)
        await world.publish("ABC-1 beta")
        await world.until_noted(1)
        service.drain.stop.signal()
        service.drain.stop.signal()
        await world.until(lambda: bool(world.of("deploy.interrupted")))


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
async def test_the_program_is_not_ready_while_it_drains_and_logs_what_finished(
    make_world: MakeWorld, start: "Callable[[World], Program]", number: int
) -> None:
    world = await make_world(DEPLOYS__DRAIN="1h")
    program, block = start(world), world.block(BETA)
    await program.until_ready()
    await world.publish("ABC-1 beta")
    await world.until_noted(1)
    program.signal(number)
    await program.until_ready(False)
    block.unlink()
    code, output = await program.ended()
    assert code == 0
    (ended,) = world.of("deploy.ended")
    assert output.splitlines()[-1].endswith(f"stopped: finished deploy {ended.deploy} of {BETA}")


@pytest.mark.slow
async def test_the_output_of_an_earlier_version_is_closed_to_others_at_the_start(
    make_world: MakeWorld, start: "Callable[[World], Program]"
) -> None:
    world = await make_world()
    (world.folder / ".usher/deploys").mkdir(parents=True, mode=0o755)
    (world.folder / ".usher").chmod(0o755)
    program = start(world)
    await program.until_ready()
    assert (world.folder / ".usher").stat().st_mode & 0o077 == 0
    program.signal(signal.SIGTERM)
    assert (await program.ended())[0] == 0


@pytest.mark.slow
async def test_a_second_signal_ends_the_program_which_logs_what_was_killed(
    make_world: MakeWorld, start: "Callable[[World], Program]"
) -> None:
    world = await make_world(DEPLOYS__DRAIN="1h")
    program = start(world)
    world.block(BETA)
    await program.until_ready()
    await world.publish("ABC-1 beta")
    await world.until_noted(1)
    program.signal(signal.SIGTERM)
    await program.until_ready(False)
    program.signal(signal.SIGTERM)
    code, output = await program.ended()
    assert code == 0
    (killed,) = world.of("deploy.interrupted")
    assert output.splitlines()[-1].endswith(f"stopped: killed deploy {killed.deploy} of {BETA}")


async def test_a_stop_while_waiting_for_a_slot_gives_the_turn_back(make_world: MakeWorld) -> None:
    world = await make_world(DEPLOYS__PARALLEL="1", WINDOW__QUIET="0s", WINDOW__CAP="0s")
    async with world.deploys():
        world.block(BETA)
        await world.publish("ABC-1 beta")
        await world.until_noted(1)
        (waits,) = await world.publish("ABC-1 test")
        await world.until_consumed(TEST)
        await world.until(lambda: len(world.of("journal.barrier")) > 3)
    assert [event.message for event in world.of("turn.given_back") if event.server == TEST] == [waits.id]


async def test_a_stop_during_the_take_over_wait_leaves_the_rest_of_it_to_the_next_holder(
    make_world: MakeWorld, caplog: pytest.LogCaptureFixture
) -> None:
    """The previous holder has vanished. Only the wait makes sure that its command is dead."""
    caplog.set_level("INFO")
    world = await make_world(BROKER__HEARTBEAT="10s")
    (message,) = await world.publish("ABC-1 beta")
    async with consume(world.link, topology.server_queue(BETA), "vanishes", prefetch=1) as vanishes:
        await vanishes.get()
    left = 10**9
    for times in (1, 2):
        async with world.deploys(), asyncio.timeout(10):
            while caplog.text.count("may still be running") < times:
                await asyncio.sleep(0.01)
        given_back = world.of("turn.given_back")
        assert [event.message for event in given_back] == [message.id] * times
        assert 0 < given_back[-1].wait_left < left
        left = given_back[-1].wait_left
    assert world.of("deploy.taken") == []


NOWHERE = cast("Channel", None)


@pytest.mark.parametrize("ticks", range(8))
async def test_a_delivery_in_the_moment_of_a_stop_is_not_dropped(ticks: int) -> None:
    consumer, stop = Consumer(NOWHERE, "test"), asyncio.Event()
    getting = asyncio.create_task(first(consumer.get(), (stop, Stopping)))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    consumer._on_delivery(Delivered(Envelope(b"", message_id="it"), redelivered=False, tag=1))
    for _ in range(ticks):
        await asyncio.sleep(0)
    stop.set()
    (outcome,) = await asyncio.gather(getting, return_exceptions=True)
    still_there = consumer.undelivered()
    assert isinstance(outcome, Stopping if still_there else Delivery)


@pytest.mark.parametrize("ticks", range(8))
@pytest.mark.parametrize("slot_first", [True, False])
async def test_a_slot_that_becomes_free_in_the_moment_of_a_stop_is_not_lost(ticks: int, slot_first: bool) -> None:
    slots, stop = asyncio.Semaphore(1), asyncio.Event()
    journal = cast("Journal", SimpleNamespace(halted=asyncio.Event(), why_halted=NotUnderstood))
    waits = Waits(SystemClock(), asyncio.Event(), journal, stop)

    async def use_a_slot() -> None:
        async with waits.one_of(slots):
            await asyncio.sleep(0)

    await slots.acquire()
    using = asyncio.create_task(use_a_slot())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    steps = [slots.release, stop.set]
    steps[not slot_first]()
    for _ in range(ticks):
        await asyncio.sleep(0)
    steps[slot_first]()
    (outcome,) = await asyncio.gather(using, return_exceptions=True)
    assert outcome is None or isinstance(outcome, Stopping)
    async with asyncio.timeout(1):
        await slots.acquire()
    assert slots.locked()


async def test_a_consumer_that_leaves_returns_the_message_that_it_was_sent(make_world: MakeWorld) -> None:
    world = await make_world()
    async with consume(world.link, topology.server_queue(BETA), "leaves", prefetch=1) as consumer:
        (message,) = await world.publish("ABC-1 beta")
        await world.until_consumed(BETA)
        sent = await consumer.leave()
        assert sent is not None
        assert sent.message_id == message.id
        await world.publish("ABC-2 beta")
        await world.journal.barrier()
        assert consumer.undelivered() is None
