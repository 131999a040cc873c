"""Holds: a held server is left alone, and one deploy covers everything that has collected meanwhile."""

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from deploys import deploy
from usher.core.events import DeployInterrupted, DeployTaken, TurnGivenBack
from usher.core.orders import HoldExpired, HoldOrder, ReleaseOrder
from usher.runtime.clock import SystemClock

if TYPE_CHECKING:
    from conftest import World

BETA = "beta.abc.wwts.com"
MakeWorld = Callable[..., Awaitable["World"]]
NO_WINDOW = {"WINDOW__QUIET": "0s", "WINDOW__CAP": "0s"}


async def hold(
    world: "World", scope: str = "beta.abc", *, seconds: int | None = None, warning: bool = False
) -> HoldOrder:
    """Hold servers, for that many seconds or until a release, and wait until the journal has it."""
    now = SystemClock().now()
    until = None if seconds is None else now + seconds * 1000
    facts = {"id": secrets.token_hex(16), "by": "ann", "reason": "demo", "at": now, "servers": ()}
    order = HoldOrder(**facts, scope=scope, until=until, warning=warning)
    await world.publisher.order(order)
    await world.until(lambda: order in world.seen)
    return order


async def release(world: "World", *holds: HoldOrder) -> None:
    """Release holds, and wait until the journal has that."""
    ids = tuple(hold.id for hold in holds)
    order = ReleaseOrder(id=secrets.token_hex(16), by="bob", reason="", at=SystemClock().now(), servers=(), holds=ids)
    await world.publisher.order(order)
    await world.until(lambda: order in world.seen)


def issues(world: "World") -> list[object]:
    """The issues of each command that has begun."""
    return [note["issues"] for note in world.notes() if note["what"] == "begin"]


async def test_moves_collect_during_a_hold_and_one_deploy_covers_them_at_once_after_the_release(
    make_world: MakeWorld,
) -> None:
    world = await make_world(**NO_WINDOW)
    held = await hold(world)
    async with world.deploys("one"), world.deploys("two"), world.deploys("three"):
        await world.publish("ABC-1 beta", "ABC-2 beta", "ABC-9 test", "ABC-3 beta")
        await world.until_noted(1)
        await world.until_free(BETA)
        assert issues(world) == [["ABC-9"]]
        await release(world, held)
        await world.until(lambda: len(world.of("deploy.ended")) == 2)
        assert not world.of("turn.takeover_waited")
    assert issues(world) == [["ABC-9"], ["ABC-1", "ABC-2", "ABC-3"]]


async def test_a_hold_in_an_open_window_stops_its_deploy_and_gives_the_turn_back(make_world: MakeWorld) -> None:
    world = await make_world(WINDOW__QUIET="1s", WINDOW__CAP="1s")
    async with world.deploys():
        await world.publish("ABC-1 beta")
        await world.until(lambda: bool(world.of("window.opened")))
        held = await hold(world)
        await world.until(lambda: bool(world.of("turn.given_back")))
        await world.until_free(BETA)
        assert not world.of("deploy.taken")
        await release(world, held)
        await world.until(lambda: bool(world.of("deploy.ended")))
    assert issues(world) == [["ABC-1"]]


async def test_many_holds_of_one_message_do_not_count_as_many_redeliveries(make_world: MakeWorld) -> None:
    world = await make_world(WINDOW__QUIET="300ms", WINDOW__CAP="300ms")
    async with world.deploys():
        await world.publish("ABC-1 beta")
        for _ in range(deploy.MAX_DELIVERY_COUNT + 2):
            await world.until_consumed(BETA)
            held = await hold(world)
            await world.until_free(BETA)
            given_back = world.of("turn.given_back")
            await release(world, held)
        await world.publish("ABC-2 beta")
        await world.until(lambda: bool(world.of("deploy.ended")))
    assert len(given_back) > deploy.MAX_DELIVERY_COUNT
    assert issues(world) == [["ABC-1", "ABC-2"]]


async def test_a_running_deploy_continues_during_a_hold_and_its_server_is_then_left_alone(
    make_world: MakeWorld,
) -> None:
    world = await make_world(**NO_WINDOW)
    running = world.block(BETA)
    async with world.deploys():
        await world.publish("ABC-1 beta")
        await world.until_noted(1)
        held = await hold(world)
        await world.publish("ABC-2 beta")
        assert await world.consumers(BETA) == 1
        running.unlink()
        await world.until(lambda: bool(world.of("deploy.ended")))
        await world.until_free(BETA)
        assert issues(world) == [["ABC-1"]]
        await release(world, held)
        await world.until(lambda: len(world.of("deploy.ended")) == 2)
    assert issues(world) == [["ABC-1"], ["ABC-2"]]


async def test_a_command_that_has_not_begun_when_a_hold_is_read_is_not_started_and_its_batch_comes_back(
    make_world: MakeWorld, monkeypatch
) -> None:
    world = await make_world(**NO_WINDOW)
    take, placed = deploy.Deploy._take, []

    async def take_then_hold(self, taken: DeployTaken):
        batch = await take(self, taken)
        if not placed:
            placed.append(await hold(world))
            await self._journal.barrier()
        return batch

    monkeypatch.setattr(deploy.Deploy, "_take", take_then_hold)
    async with world.deploys():
        await world.publish("ABC-1 beta")
        await world.until(lambda: bool(world.of("turn.given_back")))
        (interrupted,) = world.of("deploy.interrupted")
        assert isinstance(interrupted, DeployInterrupted)
        assert interrupted.reason == "it was not started: a hold had begun"
        assert issues(world) == []
        (running,) = world.journal.board.orders.entries[placed[0].id].running.values()
        assert running.deploy == interrupted.deploy, "the answer to the hold names what was granted before it"
        await release(world, *placed)
        await world.until(lambda: bool(world.of("deploy.ended")))
    assert issues(world) == [["ABC-1"]]


async def test_a_hold_ends_by_itself_even_without_successes(make_world: MakeWorld) -> None:
    world = await make_world(**NO_WINDOW)
    held = await hold(world, seconds=1)
    async with world.deploys():
        await world.publish("ABC-1 beta")
        await world.until(lambda: bool(world.of("deploy.ended")))
    (expired,) = world.of("hold.expired")
    assert isinstance(expired, HoldExpired)
    assert held.until is not None
    assert expired.at >= held.until
    begun = next(event for event in world.seen if isinstance(event, DeployTaken))
    assert world.seen.index(expired) < world.seen.index(begun)


async def test_a_warning_stops_nothing(make_world: MakeWorld) -> None:
    world = await make_world(**NO_WINDOW)
    await hold(world, "*.*", warning=True)
    async with world.deploys():
        await world.publish("ABC-1 beta")
        await world.until(lambda: bool(world.of("deploy.ended")))


async def test_nothing_runs_before_holds_have_been_read_after_a_restart(make_world: MakeWorld) -> None:
    world = await make_world(**NO_WINDOW)
    await world.publish("ABC-1 beta", "ABC-2 test")
    await hold(world, "*.*")
    for _ in range(2):
        async with world.deploys() as service:
            async with asyncio.timeout(20):
                while await service.unready():
                    await asyncio.sleep(0.01)
        assert issues(world) == []


async def test_the_unfinished_deploy_of_a_lost_holder_is_ended_during_a_hold(make_world: MakeWorld) -> None:
    world = await make_world(**NO_WINDOW, BROKER__HEARTBEAT="1s", DEPLOYS__SILENCE="200ms", DEPLOYS__GRACE="200ms")
    (message,) = await world.publish("ABC-1 beta")
    lost = DeployTaken(
        deploy="d" * 12,
        server=BETA,
        holder="deploys@lost:1",
        fence=1,
        messages=(message.id,),
        taken_at=message.queued_at,
    )
    await world.journal.append(lost)
    await hold(world)
    async with world.deploys():
        await world.until(lambda: bool(world.of("deploy.interrupted")), 40)
        await world.until_free(BETA)
    assert world.journal.board.server(BETA).running is None
    assert isinstance(world.seen[-1], TurnGivenBack)
    assert issues(world) == []


async def test_a_hold_that_is_released_at_once_gives_the_turn_back_and_the_deploy_follows(
    make_world: MakeWorld,
) -> None:
    world = await make_world(WINDOW__QUIET="2s", WINDOW__CAP="2s", DEPLOYS__PARALLEL="1")
    async with world.deploys() as service:
        async with asyncio.timeout(20):
            while await service.unready():
                await asyncio.sleep(0.01)
        await world.publish("ABC-1 beta")
        await world.until(lambda: bool(world.of("window.opened")))
        for _ in range(20):
            await release(world, await hold(world))
        await world.until(lambda: bool(world.of("deploy.ended")))
        assert not world.of("turn.takeover_waited")
    assert issues(world) == [["ABC-1"]]
