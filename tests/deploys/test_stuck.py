"""Commands that cannot be killed, as under sudo: they are reported at once, and keep their server, but nothing else.

Usher runs without the capability to kill the processes of others, and the command becomes another user.
"""

import asyncio
import functools
import json
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest

from deploys import guard, guarded, turn, unfinished
from deploys.drain import Drain
from deploys.guarded import GuardedCommand
from deploys.jobs import How, Job
from deploys.processes import prctl
from deploys.runner import Guarded, _left
from usher.core.events import DeployTaken
from usher.core.states import State
from usher.runtime.locks import FileLocks, Locked
from usher.runtime.service import Stop
from usher.settings.sections import DeploysSettings

if TYPE_CHECKING:
    from conftest import Program, World

pytestmark = [
    pytest.mark.programs,
    pytest.mark.skipif(sys.platform != "linux", reason="needs setpriv"),
    pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user"),
]

BETA, TEST = "beta.abc.wwts.com", "test.abc.wwts.com"
PR_CAPBSET_DROP, CAP_KILL = 24, 5
DEPLOY = "0123456789ab"
AS_NOBODY = ("/usr/bin/setpriv", "--reuid", "nobody", "--clear-groups")
WAITS = 'echo started $$; read line < "$1"'
"""Waits for ever, without a child: nobody writes into its last argument, a pipe in the test's folder."""

MakeWorld = Callable[..., Awaitable["World"]]


def cannot_kill() -> None:
    """In a new process: take the capability to signal the processes of other users from its program."""
    prctl(PR_CAPBSET_DROP, CAP_KILL)


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that other users can reach."""
    folder = Path(tempfile.mkdtemp(prefix="usher-stuck-"))
    folder.chmod(0o777)
    os.mkfifo(folder / "waits")
    (folder / "waits").chmod(0o666)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(autouse=True)
async def guards_that_cannot_kill(monkeypatch: pytest.MonkeyPatch, folder: Path) -> AsyncIterator[None]:
    """Guards that are started in this process cannot kill. At the end, all commands of the test are killed."""
    start = functools.partial(asyncio.create_subprocess_exec, preexec_fn=cannot_kill)
    monkeypatch.setattr(asyncio, "create_subprocess_exec", start)
    yield
    for process in psutil.process_iter(["cmdline"]):
        if any(str(folder) in argument for argument in process.info["cmdline"] or ()):
            process.kill()
    for guarding in _left:
        await guarding.wait()
    _left.clear()


@pytest.fixture
def runner(folder: Path) -> Guarded:
    settings = DeploysSettings.model_validate({"grace": "300ms", "silence": "2s", "timeout": "1s"})
    return Guarded(settings, FileLocks(folder))


@pytest.fixture
def job(folder: Path) -> Job:
    return Job(DEPLOY, (*AS_NOBODY, "sh", "-c", WAITS, "sh", str(folder / "waits")), {}, folder / BETA / "deploy.log")


def started(job: Job) -> int:
    """The process of the command, once it has started; 0 before."""
    words = job.log.read_text().split() if job.log.exists() else []
    return int(words[1]) if len(words) == 2 else 0


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.02)


async def test_a_command_that_refuses_to_die_is_reported_with_its_processes_and_user(runner: Guarded, job: Job) -> None:
    async with asyncio.timeout(10), runner.prepare(BETA) as prepared:
        stuck = await prepared.run(job, asyncio.Event(), Drain(Stop(), 0))
    (pid,) = stuck.pids
    reason = f"it ran longer than 1 s; process {pid} of user nobody cannot be killed"
    assert (stuck.how, stuck.user, stuck.reason) == (How.STUCK, "nobody", reason)
    assert job.log.read_text() == f"started {pid}\n"
    locking = runner.locking(BETA)
    assert (locking.held, locking.deploy, locking.pids, locking.user) == (True, DEPLOY, (pid,), "nobody")
    with pytest.raises(Locked, match=f"a command of deploy {DEPLOY} is still running on this machine"):
        async with runner.prepare(BETA):
            pass
    async with runner.prepare(TEST):
        pass
    os.kill(started(job), signal.SIGKILL)
    await until(lambda: not runner.locking(BETA).held)
    assert runner.locking(BETA).deploy == DEPLOY
    async with runner.prepare(BETA):
        pass


async def test_a_command_that_outlives_its_killed_guard_is_stuck_because_its_lock_is_held(
    runner: Guarded, job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel does not kill a program that has become another user together with its parent."""

    def refuse(*_: int) -> None:
        raise PermissionError

    monkeypatch.setattr(guarded, "DYING", 0.3)
    monkeypatch.setattr(os, "killpg", refuse)
    async with asyncio.timeout(10), runner.prepare(BETA) as prepared:
        running = asyncio.create_task(prepared.run(job, asyncio.Event(), Drain(Stop(), 0)))
        await until(lambda: started(job))
        for process in psutil.Process().children():
            if guard.__file__ in process.cmdline():
                process.kill()
        stuck = await running
    assert (stuck.how, stuck.pids) == (How.STUCK, (started(job),))
    assert stuck.reason == f"the guard died; process {started(job)} cannot be killed"
    assert runner.locking(BETA).held


@pytest.mark.parametrize("error", [asyncio.CancelledError, RuntimeError])
async def test_a_run_that_is_abandoned_does_not_wait_for_a_stuck_command(
    runner: Guarded, job: Job, monkeypatch: pytest.MonkeyPatch, error: type[BaseException]
) -> None:
    async def abandon(*_: object, **__: object) -> None:
        await until(lambda: started(job))
        raise error

    monkeypatch.setattr(GuardedCommand, "_until", abandon)
    async with asyncio.timeout(10), runner.prepare(BETA) as prepared:
        with pytest.raises(error):
            await prepared.run(job, asyncio.Event(), Drain(Stop(), 0))
    assert prepared.unfinished.how is How.STUCK
    assert runner.locking(BETA).pids == prepared.unfinished.pids


@pytest.fixture
async def world(make_world: MakeWorld, folder: Path) -> "World":
    """A world whose commands for beta become another user and wait while there is a file `wait`."""
    script = folder / "deploy"
    script.write_text(
        f"""#!/bin/sh
echo "$1 $USHER_DEPLOY" >> {folder}/notes
[ "$1" = {BETA} ] && [ -e {folder}/wait ] && exec {" ".join(AS_NOBODY)} sh -c '{WAITS}' sh {folder}/waits
exit 0
"""
    )
    script.chmod(0o755)
    (folder / "wait").touch()
    return await make_world(
        DEPLOYS__COMMAND=json.dumps([str(script), "{server}", "{issues}"]),
        DEPLOYS__LOGS=str(folder / "logs"),
        DEPLOYS__TIMEOUT="1s",
        DEPLOYS__GRACE="200ms",
        DEPLOYS__PARALLEL="1",
    )


def begun(folder: Path) -> list[str]:
    notes = folder / "notes"
    return [line.split()[0] for line in notes.read_text().splitlines()] if notes.exists() else []


def became_nobody(folder: Path) -> bool:
    """Whether a command in this folder runs as another user by now."""
    processes = psutil.process_iter(["cmdline", "username"])
    return any(
        one.info["username"] == "nobody" and str(folder / "waits") in (one.info["cmdline"] or ()) for one in processes
    )


async def test_a_stuck_command_keeps_its_server_and_nothing_else(
    world: "World", folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(unfinished, "CHECK", 0.05)
    async with world.deploys() as service:
        (first,) = await world.publish("ABC-1 beta")
        await world.until(lambda: bool(world.of("deploy.stuck")))
        (event,) = world.of("deploy.stuck")
        assert f"process {event.pids[0]} of user nobody cannot be killed" in event.reason
        assert world.journal.board.needs == 2
        (other, second) = await world.publish("ABC-2 test", "ABC-3 beta")
        await world.until(lambda: world.journal.board.state(other.id) is State.DEPLOYED)
        await until(lambda: service._troubles)
        assert str(await service.unready()).startswith(f"{BETA}: it ran longer than 1 s; process")
        assert "no command starts until deploy" in caplog.text
        assert world.journal.board.state(first.id) is State.DEPLOYING
        assert begun(folder) == [BETA, TEST]
        (folder / "wait").unlink()
        os.kill(event.pids[0], signal.SIGKILL)
        await world.until(lambda: world.journal.board.state(second.id) is State.DEPLOYED)
        assert await service.unready() is None
    (gone,) = world.of("deploy.interrupted")
    assert (gone.deploy, gone.gone) == (event.deploy, True)
    assert world.journal.board.state(first.id) is State.DEPLOYED
    assert world.journal.board.needs == 1
    assert begun(folder) == [BETA, TEST, BETA]


async def test_no_take_over_while_the_command_of_a_lost_holder_is_still_running_on_this_machine(
    world: "World", folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unfinished, "CHECK", 0.05)
    monkeypatch.setattr(turn, "takeover_wait", lambda settings: 0.5)
    (folder / "wait").unlink()
    (first,) = await world.publish("ABC-1 beta")
    taken = DeployTaken(deploy=DEPLOY, server=BETA, holder="lost", fence=1, messages=(first.id,), taken_at=1)
    await world.journal.append(taken)
    with ExitStack() as held:
        lock = held.enter_context(FileLocks(folder / "logs").hold(BETA))
        os.write(lock, json.dumps({"deploy": DEPLOY, "pids": [7], "user": "root"}).encode())
        async with world.deploys():
            await world.until(lambda: bool(world.of("deploy.stuck")))
            assert world.of("deploy.interrupted") == []
            (waited,) = world.of("turn.takeover_waited")
            assert (waited.server, waited.deploy, waited.until - waited.at <= 500) == (BETA, DEPLOY, True)
            held.close()
            await world.until(lambda: world.journal.board.state(first.id) is State.DEPLOYED)
    (stuck,), (gone,) = world.of("deploy.stuck"), world.of("deploy.interrupted")
    assert (stuck.deploy, stuck.pids, stuck.user) == (DEPLOY, (7,), "root")
    assert (gone.deploy, gone.gone) == (DEPLOY, True)
    assert begun(folder) == [BETA]


@pytest.mark.slow
async def test_a_stop_says_what_is_still_running_and_how_to_end_it_and_leaves_its_guard_alive(
    world: "World", folder: Path, start: Callable[..., "Program"]
) -> None:
    program = start(world, cannot_kill, DEPLOYS__LOGS=str(folder / "logs"))
    await program.until_ready()
    (first,) = await world.publish("ABC-1 beta")
    await until(lambda: became_nobody(folder))
    program.signal(signal.SIGTERM)
    code, output = await program.ended()
    locking = FileLocks(folder / "logs").read(BETA)
    assert (code, locking.held) == (1, True)
    assert output.splitlines()[-1] == (
        f"deploys: the command of deploy {locking.deploy} of {BETA} is still running, as user nobody, and could not be "
        f"killed: `sudo kill -KILL {locking.pids[0]}` ends it"
    )
    await world.until(lambda: bool(world.of("turn.given_back")))
    (stuck,) = world.of("deploy.stuck")
    assert stuck.reason.startswith("Usher was stopped; process")
    async with world.deploys():
        (folder / "wait").unlink()
        os.kill(locking.pids[0], signal.SIGKILL)
        await world.until(lambda: world.journal.board.state(first.id) is State.DEPLOYED)
    assert begun(folder) == [BETA, BETA]
