"""A server is renamed or removed in the settings: its queue gets nothing more, and a person hears what is stranded."""

import logging
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import pytest

from deploys.former import retire
from usher.broker import topology

if TYPE_CHECKING:
    from deploys.conftest import World

MakeWorld = Callable[..., Awaitable["World"]]


async def test_a_renamed_server_s_former_queue_gets_no_more_messages_and_is_named_once(
    make_world: MakeWorld, caplog: pytest.LogCaptureFixture
) -> None:
    before = await make_world(SERVERS__NAME="old-{status}-{project}")
    await before.publish("ABC-1 beta", "ABC-1 beta", "ABC-2 beta")
    world = await make_world()
    await world.journal.barrier()
    caplog.clear()
    for _ in range(2):
        await retire(world.link, world.journal.board, world.settings.catalogue)
    await world.publish("ABC-3 beta")
    async with world.link.publishing.raw.channel() as channel:
        depths = {
            name: (await channel.declare_queue(topology.server_queue(name), passive=True)).declaration_result
            for name in ("old-beta-abc", "beta.abc.wwts.com")
        }
    assert {name: found.message_count for name, found in depths.items()} == {"old-beta-abc": 3, "beta.abc.wwts.com": 1}
    warnings = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
    assert len(warnings) == 2
    assert "no longer in the settings: old-beta-abc (ABC-1 ABC-2)." in warnings[0]


async def test_a_former_server_whose_queue_is_gone_is_no_problem(
    make_world: MakeWorld, caplog: pytest.LogCaptureFixture
) -> None:
    before = await make_world(SERVERS__NAME="old-{status}-{project}")
    await before.publish("ABC-1 beta")
    async with before.link.publishing.raw.channel() as channel:
        await channel.queue_delete(topology.server_queue("old-beta-abc"))
    world = await make_world()
    await world.journal.barrier()
    caplog.clear()
    await retire(world.link, world.journal.board, world.settings.catalogue)
    assert [r.getMessage().partition(":")[0] for r in caplog.records if r.levelno == logging.WARNING] == [
        "! pending on servers that are no longer in the settings"
    ]
