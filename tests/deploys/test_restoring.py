"""Somebody deletes a part of the topology while `deploys` runs: it is declared again, and nothing is lost."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
from aiormq.exceptions import ChannelNotFoundEntity

from usher.broker import topology
from usher.core.errors import NotConfirmed

if TYPE_CHECKING:
    from deploys.conftest import World

MakeWorld = Callable[..., Awaitable["World"]]

BETA = "beta.abc.wwts.com"


async def delete_queue(world: "World", name: str) -> None:
    async with world.link.publishing.raw.channel() as channel:
        await channel.queue_delete(name)


async def until_ready(service: object) -> None:
    async with asyncio.timeout(15):
        while await service.unready():  # type: ignore[attr-defined]
            await asyncio.sleep(0.02)


async def test_a_server_whose_queue_was_deleted_deploys_the_next_message(make_world: MakeWorld) -> None:
    world = await make_world()
    async with world.deploys() as service:
        await until_ready(service)
        await delete_queue(world, topology.server_queue(BETA))
        await world.publish("ABC-1 beta")
        await world.until(lambda: bool(world.of("deploy.ended")))
        assert await service.unready() is None
    assert [note["issues"] for note in world.notes() if note["what"] == "begin"] == [["ABC-1"]]


async def test_pending_messages_of_a_deleted_queue_are_deployed(make_world: MakeWorld) -> None:
    world = await make_world(WINDOW__QUIET="1s")
    async with world.deploys() as service:
        await until_ready(service)
        await world.publish("ABC-1 beta", "ABC-2 beta")
        await world.until(lambda: bool(world.of("window.opened")))
        await delete_queue(world, topology.server_queue(BETA))
        await world.until(lambda: bool(world.of("deploy.ended")))
    assert [note["issues"] for note in world.notes() if note["what"] == "begin"] == [["ABC-1", "ABC-2"]]


async def test_a_batch_whose_queue_was_deleted_during_its_deploy_is_deployed_again(make_world: MakeWorld) -> None:
    world = await make_world()
    async with world.deploys():
        block = world.block(BETA)
        await world.publish("ABC-1 beta")
        await world.until_noted(1)
        await delete_queue(world, topology.server_queue(BETA))
        await world.until(lambda: bool(world.of("deploy.interrupted")))
        block.unlink()
        await world.until(lambda: bool(world.of("deploy.ended")))
    assert [event.outcome for event in world.of("deploy.ended")] == ["passed"]


@pytest.mark.parametrize("part", [topology.SERVERS, topology.MESSAGES])
async def test_a_deleted_exchange_is_declared_again_with_its_bindings(
    make_world: MakeWorld, monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    monkeypatch.setattr("usher.broker.topology.DECLARE_SECONDS", 0.1)
    world = await make_world()
    async with world.deploys() as service:
        await until_ready(service)
        async with world.link.publishing.raw.channel() as channel:
            await channel.exchange_delete(part)

        async with asyncio.timeout(20):
            while not await exists(world, part):
                await asyncio.sleep(0.02)
            while not world.of("deploy.ended"):
                with suppress(NotConfirmed):  # until it is bound again, too
                    await world.publish("ABC-1 beta")
                await asyncio.sleep(0.1)


async def exists(world: "World", exchange: str) -> bool:
    try:
        async with world.link.publishing.raw.channel() as channel:
            await channel.declare_exchange(exchange, passive=True)
    except ChannelNotFoundEntity:
        return False
    return True
