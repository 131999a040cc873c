"""Checkpoints are written every hour, by one of the replicas. On a real broker, with a simulated clock."""

import asyncio
from collections.abc import Callable

import pytest

from successes.checkpoints import EVERY, write_checkpoints
from usher.broker import topology
from usher.broker.journal import Journal, follow
from usher.broker.link import connect
from usher.broker.places import Memory
from usher.broker.publisher import Publisher
from usher.core.board.board import Board
from usher.runtime.clock import SystemClock
from usher.runtime.tasks import end
from usher.settings import Settings

HOUR = round(EVERY * 1000)
BEGAN = 500_000 * HOUR


class HurriedClock:
    """A clock whose sleeps return immediately, but advance its time."""

    def __init__(self) -> None:
        self.at = BEGAN
        self.slept: list[float] = []

    def now(self) -> int:
        return self.at

    def monotonic(self) -> float:
        return self.at / 1000

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.at += round(seconds * 1000)
        if len(self.slept) == 3:
            raise TimeoutError  # ends the test


async def test_a_checkpoint_is_written_an_hour_after_the_last_one(make_settings: Callable[..., Settings]) -> None:
    settings, clock = make_settings(), HurriedClock()
    async with connect(settings.broker, "test") as link:
        await topology.declare(link, settings.catalogue)
        publisher = await Publisher.open(link, "test")
        async with follow(link, publisher, clock, "test", Memory()) as journal:
            await write_three(journal, clock)
            assert clock.slept == [EVERY] * 3
            assert journal.checkpointed_at == BEGAN + 2 * HOUR


async def write_three(journal: Journal, clock: HurriedClock) -> None:
    try:
        await asyncio.wait_for(write_checkpoints(journal, clock), 20)
    except TimeoutError:
        return


async def test_a_checkpoint_is_written_immediately_when_the_board_needs_a_lower_version(
    make_settings: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, needs = make_settings(), [2]
    monkeypatch.setattr(Board, "needs", property(lambda _: needs[0]))
    async with connect(settings.broker, "test") as link:
        await topology.declare(link, settings.catalogue)
        publisher = await Publisher.open(link, "test")
        async with follow(link, publisher, SystemClock(), "test", Memory()) as journal:
            writing = asyncio.create_task(write_checkpoints(journal, SystemClock()))
            await until_checkpointed(journal, after=0)
            first, needs[0] = journal.checkpointed_at, 1
            await until_checkpointed(journal, after=first)
            assert not journal.lowered.is_set()
            await end(writing)


async def until_checkpointed(journal: Journal, after: int) -> None:
    """Wait until a checkpoint newer than `after` (ms) has been read."""
    async with asyncio.timeout(20):
        while journal.checkpointed_at <= after:
            await journal.barrier()
