"""A command starts with default signals, however Usher and its guard were started."""

import asyncio
import json
import sys
from pathlib import Path

import pytest

from deploys import guard
from deploys.drain import Drain
from deploys.jobs import Finished, How, Job
from deploys.runner import Guarded
from odd_signals import ignore_and_block_everything, ignored_and_blocked
from usher.runtime.locks import FileLocks
from usher.runtime.service import Stop
from usher.settings.sections import DeploysSettings

pytestmark = pytest.mark.programs

CLEANS_UP = """
trap 'echo cleaned up; exit 0' INT
kill -INT $$
exit 7
"""

INTERRUPTS_ITS_HELPER = """
import signal, subprocess, sys
helper = subprocess.Popen(["sleep", "60"])
helper.send_signal(signal.SIGINT)
print("the helper ended:", helper.wait(timeout=5))
"""


async def run(tmp_path: Path, *argv: str) -> Finished:
    job = Job("0123456789ab", argv, {"PATH": "/usr/bin:/bin"}, tmp_path / "deploy.log")
    async with Guarded(DeploysSettings(), FileLocks(tmp_path)).prepare("beta") as prepared:
        return await prepared.run(job, asyncio.Event(), Drain(Stop(), 0))


async def test_a_script_that_cleans_up_on_an_interrupt_gets_it(tmp_path: Path) -> None:
    finished = await run(tmp_path, "bash", "-c", CLEANS_UP)
    assert (finished.how, finished.exit_code, finished.output) == (How.EXITED, 0, "cleaned up\n")


async def test_a_helper_of_the_command_can_be_interrupted(tmp_path: Path) -> None:
    finished = await run(tmp_path, sys.executable, "-c", INTERRUPTS_ITS_HELPER)
    assert (finished.exit_code, finished.output) == (0, "the helper ended: -2\n")


async def start_guard(tmp_path: Path) -> asyncio.subprocess.Process:
    """A guard that is started with all signals ignored and blocked."""
    with FileLocks(tmp_path).hold("beta") as lock:
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-I", "-S", guard.__file__, "60", "0.2", str(lock)),
            stdin=-1,
            stdout=-1,
            preexec_fn=ignore_and_block_everything,
            pass_fds=(lock,),
        )


async def test_however_the_guard_was_started_its_command_has_default_signals_and_its_exit_code_is_known(
    tmp_path: Path,
) -> None:
    process = await start_guard(tmp_path)
    assert process.stdin
    script = "cat /proc/self/status; exit 7"
    env = {"PATH": "/usr/bin:/bin"}
    files = {"cwd": ".", "env": env, "log": f"{tmp_path}/log", "limit": 10**6}
    start = {"deploy": "0123456789ab", "argv": ["sh", "-c", script], **files}
    process.stdin.write(json.dumps({"start": start}).encode() + b"\n")
    assert process.stdout
    async with asyncio.timeout(10):
        replies = [json.loads(await process.stdout.readline()) for _ in range(3)]
    assert replies[2] == {"ended": 7, "stopped": None, "unwritten": None}
    assert ignored_and_blocked((tmp_path / "log").read_text()) == (set(), set())
    assert await process.wait() == 0


async def test_a_guard_that_was_started_with_blocked_signals_can_be_stopped(tmp_path: Path) -> None:
    process = await start_guard(tmp_path)
    assert process.stdout
    await process.stdout.readline()
    process.terminate()
    async with asyncio.timeout(10):
        await process.wait()
