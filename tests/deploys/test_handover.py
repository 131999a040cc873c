"""Two replicas: a turn that is given back is taken at once; a turn of a dead process, after the take-over wait."""

import asyncio
import re
import signal
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import pytest

from deploys.context import takeover_wait

if TYPE_CHECKING:
    from conftest import Program, World
    from deploys.service import Deploys

pytestmark = pytest.mark.slow

BETA = "beta.abc.wwts.com"
TEST = "test.abc.wwts.com"
STAGE = "stage.abc.wwts.com"

MakeWorld = Callable[..., Awaitable["World"]]


def opened_for(world: "World", *servers: str) -> int:
    return sum(event.server in servers for event in world.of("window.opened"))


async def ready(service: "Deploys") -> None:
    async with asyncio.timeout(20):
        while await service.unready():
            await asyncio.sleep(0.02)


async def test_an_orderly_stop_hands_every_turn_over_without_the_take_over_wait(
    make_world: MakeWorld, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    # the take-over wait is much longer than this test may take
    world = await make_world(
        BROKER__HEARTBEAT="10s", DEPLOYS__DRAIN="1h", WINDOW__QUIET="3s", WINDOW__CAP="3s", DEPLOYS__SILENCE="30s"
    )
    async with world.deploys("first") as one:
        for server in (BETA, TEST, STAGE):
            await world.until_consumed(server)  # the first consumer gets the turns
        async with world.deploys("second") as second:
            await ready(second)
            block = world.block(BETA)
            await world.publish("ABC-1 beta")
            await world.until_noted(1)
            waiting = await world.publish("ABC-1 test", "ABC-1 stage")
            await world.until(lambda: opened_for(world, TEST, STAGE) == 2)
            one.drain.stop.signal()
            await world.until(lambda: len(world.of("turn.given_back")) == 2)
            await world.publish("ABC-2 beta")
            await world.until(lambda: opened_for(world, TEST, STAGE) == 4)  # again, now by the second
            assert not any(event.holder.startswith("second") for event in world.of("deploy.taken"))
            block.unlink()
            await world.until(lambda: len(world.of("deploy.ended")) == 4)
    taken = [(event.server, event.holder.partition("@")[0]) for event in world.of("deploy.taken")]
    assert taken[0] == (BETA, "first")
    assert sorted(taken[1:]) == [(BETA, "second"), (STAGE, "second"), (TEST, "second")]
    assert world.of("deploy.interrupted") == []
    assert "may still be running" not in caplog.text
    assert "has not reported its end" not in caplog.text
    opened = [event for event in world.of("window.opened") if event.message in {message.id for message in waiting}]
    closing = {event.message: event.closes_at for event in opened}
    assert len(opened) == 4
    assert all(event.closes_at == closing[event.message] for event in opened), "both holders keep the same window"


async def test_killing_a_holder_during_a_deploy_delays_only_its_server_by_the_take_over_wait(
    make_world: MakeWorld, start: "Callable[[World], Program]", caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    world = await make_world(DEPLOYS__SILENCE="200ms", DEPLOYS__GRACE="200ms")
    victim = start(world)
    await victim.until_ready()
    block = world.block(BETA)
    await world.publish("ABC-1 beta")
    await world.until_noted(1)
    async with world.deploys("second") as second:
        await ready(second)
        killed_at = time.time()
        victim.signal(signal.SIGKILL)
        block.unlink()
        async with asyncio.timeout(10):
            while "has not reported its end" not in caplog.text:  # until then the broker may deliver to the dead
                await asyncio.sleep(0.01)
        await world.publish("ABC-1 test")
        await world.until(lambda: len(world.of("deploy.ended")) == 2, seconds=40)
    taken = [(event.server, event.holder.partition("@")[0]) for event in world.of("deploy.taken")]
    assert taken == [(BETA, "deploys"), (TEST, "second"), (BETA, "second")]
    (interrupted,) = world.of("deploy.interrupted")
    assert interrupted.by.startswith("second")
    assert re.fullmatch(r"deploys on .+ \(process \d+\), which ran it, was lost", interrupted.reason)
    assert interrupted.at / 1000 - killed_at > takeover_wait(world.settings) - 0.1
    idle, other = world.of("deploy.ended")
    assert (idle.server, other.server) == (TEST, BETA)
    assert idle.ended_at < interrupted.at, "an idle server's turn is taken at once"
