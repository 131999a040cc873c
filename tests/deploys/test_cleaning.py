"""Old output is removed: only files that Usher has named, and never the file of a running command."""

import asyncio
import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from deploys.cleaning import EVERY, keep_clean, remove_old
from deploys.drain import Drain
from deploys.jobs import Job
from deploys.runner import Guarded
from usher.runtime.clock import SystemClock
from usher.runtime.locks import FileLocks
from usher.runtime.service import Stop
from usher.settings.sections import DeploysSettings

if TYPE_CHECKING:
    from conftest import Program, World

NOW, DAY = 1_800_000_000.0, 86_400.0


def file(path: Path, days: float) -> Path:
    """A file that was last written so many days ago."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    os.utime(path, (NOW - days * DAY, NOW - days * DAY))
    return path


def test_only_old_files_that_usher_has_named_are_removed(tmp_path: Path) -> None:
    logs = tmp_path / "deploys"
    old, young = file(logs / "beta/0123456789ab.log", 31), file(logs / "beta/0123456789ac.log", 29)
    others = [
        file(logs / name, 99)
        for name in ("0123456789ab.log", "beta/notes.log", "beta/0123456789ab.log.gz", "beta/x/0123456789ab.log")
    ]
    elsewhere = file(tmp_path / "elsewhere/0123456789ab.log", 99)
    (logs / "linked").symlink_to(elsewhere.parent)
    (logs / "beta/0123456789ad.log").symlink_to(elsewhere)
    (logs / "beta/0123456789ae.log").mkdir()
    os.utime(logs / "beta/0123456789ae.log", (1, 1))
    assert remove_old(logs, NOW - 30 * DAY) == 1
    assert not old.exists()
    assert all(path.exists() for path in (young, *others, elsewhere, logs / "beta/0123456789ae.log"))


def test_a_missing_folder_is_no_fault(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert remove_old(tmp_path / "nowhere", NOW) == 0
    assert caplog.text == ""


@pytest.mark.programs
async def test_the_file_of_a_running_command_is_kept_however_long_the_command_was_silent(tmp_path: Path) -> None:
    log = tmp_path / "deploys/beta/0123456789ab.log"
    code = f"import os, time\nprint('started', flush=True)\nwhile os.path.exists('{tmp_path}/hold'): time.sleep(0.01)"
    (tmp_path / "hold").touch()
    async with (
        Guarded(DeploysSettings(), FileLocks(tmp_path / "deploys")).prepare("beta") as prepared,
        asyncio.timeout(20),
    ):
        running = asyncio.create_task(
            prepared.run(Job("0123456789ab", (sys.executable, "-c", code), {}, log), asyncio.Event(), Drain(Stop(), 0))
        )
        while not log.exists() or not log.stat().st_size:
            await asyncio.sleep(0.01)
        os.utime(log, (1, 1))
        assert remove_old(tmp_path / "deploys", time.time()) == 0
        (tmp_path / "hold").unlink()
        assert (await running).output == "started\n"
    assert remove_old(tmp_path / "deploys", time.time() - DAY) == 0  # it is as old as the end of its command
    assert remove_old(tmp_path / "deploys", time.time() + DAY) == 1


class Hours(SystemClock):
    """A clock on which sleeps end when the test says so."""

    def __init__(self) -> None:
        self.slept: list[float] = []
        self.asleep, self.wake = asyncio.Event(), asyncio.Event()

    def now(self) -> int:
        return round(NOW * 1000)

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.asleep.set()
        await self.wake.wait()
        self.wake.clear()


async def test_old_files_are_removed_at_the_start_and_then_every_hour(tmp_path: Path) -> None:
    clock, settings = Hours(), DeploysSettings(logs=str(tmp_path))
    cleaning = asyncio.create_task(keep_clean(settings, clock))
    for _ in range(3):
        old = file(tmp_path / "beta/0123456789ab.log", 31)
        young = file(tmp_path / "beta/0123456789ac.log", 29)
        clock.wake.set()
        async with asyncio.timeout(5):
            await clock.asleep.wait()
            while old.exists():
                await asyncio.sleep(0.01)
        clock.asleep.clear()
        assert young.exists()
    cleaning.cancel()
    assert set(clock.slept) == {EVERY} == {3600}


@pytest.mark.slow
async def test_the_program_cleans_when_it_starts(
    make_world: "Callable[..., Awaitable[World]]", start: "Callable[[World], Program]"
) -> None:
    world = await make_world()
    old = file(world.folder / ".usher/deploys/beta.abc.wwts.com/0123456789ab.log", 9_999)
    program = start(world)
    await program.until_ready()
    async with asyncio.timeout(5):
        while old.exists():
            await asyncio.sleep(0.01)
    program.signal(signal.SIGTERM)
    code, output = await program.ended()
    assert (code, "removed 1 file of old output" in output) == (0, True)
