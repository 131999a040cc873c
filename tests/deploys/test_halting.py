"""Journal entries for newer versions: running commands finish, no others start, and work resumes later."""

import asyncio
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from deploys import worker
from deploys.service import Deploys
from newer import write_covering_checkpoint, write_newer_fact
from usher.broker import topology
from usher.broker.consumer import consume
from usher.core.errors import NotConfirmed
from usher.core.events import Outcome, decode
from usher.runtime.clock import SystemClock

if TYPE_CHECKING:
    from conftest import World

BETA, TEST = "beta.abc.wwts.com", "test.abc.wwts.com"

MakeWorld = Callable[..., Awaitable["World"]]


async def until_unready(service: Deploys, why: str | None) -> None:
    """Wait until the service is not ready and gives this reason; None: until it is ready."""
    async with asyncio.timeout(20):
        while (reason := await service.unready()) is not why and not (why and reason and why in reason):
            await asyncio.sleep(0.02)


async def test_a_running_command_finishes_no_other_starts_and_turns_resume_at_a_checkpoint(
    make_world: MakeWorld,
) -> None:
    world = await make_world()
    async with world.deploys() as service:
        block = world.block(BETA)
        await world.publish("ABC-1 beta")
        await world.until_noted(1)
        await write_newer_fact(world.publisher)
        await until_unready(service, "needs a newer Usher")
        await world.publish("ABC-2 test")
        block.unlink()
        async with consume(world.link, topology.RESULTS, "look", prefetch=10) as results, asyncio.timeout(20):
            result = decode((await results.get()).body)
        assert result.outcome is Outcome.PASSED
        await world.until_free(BETA)
        assert [note["server"] for note in world.notes() if note["what"] == "begin"] == [BETA]

        await write_covering_checkpoint(world.publisher, world.journal)
        await until_unready(service, None)
        begun = await world.until_noted(2)
        await world.until_noted(2, "end")
    assert [note["server"] for note in begun] == [BETA, TEST]


async def test_a_process_that_starts_on_a_newer_journal_takes_no_turn_and_stops_cleanly(make_world: MakeWorld) -> None:
    world = await make_world()
    await world.publish("ABC-1 beta")
    await write_newer_fact(world.publisher)
    async with world.deploys() as service:
        await until_unready(service, "entry")
        assert await world.consumers(BETA) == 0
    assert world.notes() == []


async def test_a_message_for_newer_readers_is_neither_deployed_nor_parked(make_world: MakeWorld) -> None:
    world = await make_world()
    (message,) = await world.publish("ABC-1 beta")
    async with consume(world.link, topology.server_queue(BETA), "look", prefetch=1) as queue:
        await (await queue.get()).ack()
    await world.publish_newer(message)
    async with world.deploys() as service:
        await until_unready(service, "needs a newer Usher")
    assert world.notes() == []
    async with consume(world.link, topology.server_queue(BETA), "look", prefetch=1) as queue, asyncio.timeout(20):
        assert (await queue.get()).message_id == message.id


async def test_a_halted_worker_tries_until_its_outcome_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "PAUSE", 0.0)
    tries: list[str] = []

    async def write(server: str, *_: object) -> None:
        tries.append(server)
        if len(tries) < 3:
            raise NotConfirmed(what="the outcome", why="no answer")

    context = SimpleNamespace(
        unwritten=SimpleNamespace(write=write), journal=None, publisher=None, clock=SystemClock(),
        drain=SimpleNamespace(stop=asyncio.Event()),
    )  # fmt: skip
    async with asyncio.timeout(5):
        await worker._write_outcome(context, SimpleNamespace(lost=asyncio.Event()), SimpleNamespace(name=BETA))
    assert tries == [BETA] * 3
