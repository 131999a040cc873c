"""The guard with real processes: whatever a command does, it ends, and none of its processes is left."""

import asyncio
import json
import os
import signal
import stat
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import psutil
import pytest

from deploys import guard
from deploys.drain import Drain
from deploys.finished import OUTPUT_BYTES
from deploys.jobs import Finished, How, Job
from deploys.runner import GuardDied, Guarded, Prepared, Rehearsal
from usher.runtime.locks import FileLocks, NoLock
from usher.runtime.service import Stop
from usher.settings.sections import DeploysSettings

pytestmark = pytest.mark.programs

DEPLOY = "0123456789ab"
Python = Callable[[str], Job]


@pytest.fixture
def python(tmp_path: Path) -> Python:
    """Makes a job that runs the given Python code."""
    return lambda code: Job(
        DEPLOY, (sys.executable, "-c", code), {"MARK": str(tmp_path)}, tmp_path / "out" / "deploy.log"
    )


@pytest.fixture(autouse=True)
async def nothing_left(tmp_path: Path) -> AsyncIterator[None]:
    """After each test, no process that was started for it is left."""
    yield
    async with asyncio.timeout(5):  # a killed process takes a moment to die
        while alive(str(tmp_path)):
            await asyncio.sleep(0.01)


def alive(mark: str) -> list[psutil.Process]:
    """The processes with this mark in their environment."""
    processes = psutil.process_iter(["environ", "status"])
    marked = [process for process in processes if (process.info["environ"] or {}).get("MARK") == mark]
    return [process for process in marked if process.info["status"] != psutil.STATUS_ZOMBIE]


def prepare(job: Job, **settings: str) -> AbstractAsyncContextManager[Prepared]:
    """A guard for the job, whose output file is in the server's folder."""
    given = DeploysSettings.model_validate({"grace": "300ms", "silence": "2s", **settings})
    return Guarded(given, FileLocks(job.log.parent.parent)).prepare(job.log.parent.name)


async def run(job: Job, lost: asyncio.Event | None = None, drain: Drain | None = None, **settings: str) -> Finished:
    async with prepare(job, **settings) as prepared:
        return await prepared.run(job, lost or asyncio.Event(), drain or Drain(Stop(), 0))


async def started(job: Job) -> None:
    """Wait until the command has printed `started`."""
    async with asyncio.timeout(10):
        while not job.log.exists() or b"started" not in job.log.read_bytes():
            await asyncio.sleep(0.01)


async def test_a_command_that_succeeds_passes_with_its_output(python: Python) -> None:
    finished = await run(python("import sys; print('hello'); print('oops', file=sys.stderr)"))
    assert (finished.how, finished.exit_code, finished.truncated) == (How.EXITED, 0, False)
    assert sorted(finished.output.split()) == ["hello", "oops"]


async def test_a_failed_command_reports_its_exit_code(python: Python) -> None:
    finished = await run(python("raise SystemExit(3)"))
    assert (finished.how, finished.exit_code, finished.reason) == (How.EXITED, 3, "exit code 3")


async def test_a_command_that_dies_of_a_signal_reports_the_signal(python: Python) -> None:
    finished = await run(python("import os; os.kill(os.getpid(), 11)"))
    assert (finished.how, finished.exit_code, finished.reason) == (How.EXITED, -11, "it was ended by signal 11")


async def test_a_missing_program_fails_the_deploy(python: Python, tmp_path: Path) -> None:
    finished = await run(Job(DEPLOY, ("/nowhere/deploy",), {}, tmp_path / "log"))
    assert (finished.how, finished.exit_code) == (How.EXITED, None)
    assert "could not be started" in finished.reason
    assert "/nowhere/deploy" in finished.reason


async def test_without_a_folder_for_its_output_no_command_starts(python: Python, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("a file in the folder's place")
    with pytest.raises(NoLock, match=r"out/lock cannot be locked \(File exists\); no command starts"):
        await run(python("print('hello')"))


async def test_a_log_that_cannot_be_written_fails_the_deploy(python: Python, tmp_path: Path) -> None:
    (tmp_path / "out/deploy.log").mkdir(parents=True)
    finished = await run(python("print('hello')"))
    assert (finished.how, finished.exit_code) == (How.EXITED, None)
    assert "could not be started" in finished.reason


async def test_a_guard_that_cannot_be_started_reports_why(python: Python, monkeypatch: pytest.MonkeyPatch) -> None:
    async def none_left(*_: object, **__: object) -> None:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(asyncio, "create_subprocess_exec", none_left)
    with pytest.raises(GuardDied, match="Resource temporarily unavailable"):
        async with prepare(python("")):
            pass


async def test_a_command_that_hangs_is_stopped_at_the_timeout(python: Python) -> None:
    finished = await run(python("import time; time.sleep(600)"), timeout="300ms")
    assert (finished.how, finished.reason) == (How.TIMED_OUT, "it ran longer than 0.3 s")


async def test_a_command_that_ignores_term_is_killed(python: Python) -> None:
    code = "import signal, time; signal.signal(15, signal.SIG_IGN); print('started', flush=True); time.sleep(600)"
    finished = await run(python(code), timeout="700ms")
    assert (finished.how, finished.exit_code) == (How.TIMED_OUT, -9)


async def test_a_command_that_exits_with_0_on_term_has_still_timed_out(python: Python) -> None:
    code = "import signal, sys, time; signal.signal(15, lambda *_: sys.exit(0)); time.sleep(600)"
    assert (await run(python(code), timeout="700ms")).how is How.TIMED_OUT


@pytest.mark.parametrize("detach", ["", "os.setsid(); os.fork() and os._exit(0);"], ids=["child", "daemon"])
async def test_processes_that_a_command_leaves_behind_are_ended_with_it(python: Python, detach: str) -> None:
    code = f"import os, time\nif os.fork() == 0:\n    {detach} time.sleep(600)\nelse: time.sleep(0.2)"
    finished = await run(python(code))
    assert (finished.how, finished.exit_code) == (How.EXITED, 0)


async def still_grows(path: Path) -> bool:
    """Whether something still writes to the file."""
    size = path.stat().st_size
    await asyncio.sleep(0.5)
    return path.stat().st_size > size


@pytest.mark.slow
async def test_a_chain_of_forks_does_not_escape(python: Python, tmp_path: Path) -> None:
    """Each process starts the next one and exits, so that a scan of the process table may miss it."""
    link = f"import os, sys, time; open('{tmp_path}/alive', 'a').write('x')\nif time.time() < {time.time() + 60}:\n"
    link += "    os.fork() or os.execv(sys.executable, [sys.executable, '-S', '-c', sys.argv[1], sys.argv[1]])"
    start = f"os.setsid(); os.execv(sys.executable, [sys.executable, '-S', '-c', {link!r}, {link!r}])"
    ignore = "import os, signal, sys, time; signal.signal(signal.SIGTERM, signal.SIG_IGN)"
    await run(python(f"{ignore}\nif os.fork() == 0: {start}\ntime.sleep(0.3)"))
    assert not await still_grows(tmp_path / "alive")


@pytest.mark.slow
async def test_a_process_whose_main_thread_has_exited_is_ended_too(python: Python, tmp_path: Path) -> None:
    """The process table shows it as a zombie, but its other threads still run."""
    child = f"""if True:
        import ctypes, signal, threading, time
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        def write():
            for _ in range(600):
                open('{tmp_path}/alive', 'a').write('x')
                time.sleep(0.05)
        threading.Thread(target=write).start()
        ctypes.CDLL(None).pthread_exit(None)
    """
    start = f"subprocess.Popen([sys.executable, '-c', {child!r}])"
    finished = await run(python(f"import subprocess, sys, time; {start}; time.sleep(0.5)"))
    assert (finished.how, finished.exit_code) == (How.EXITED, 0)
    assert not await still_grows(tmp_path / "alive")


async def test_huge_output_is_complete_in_the_file_and_truncated_in_the_result(python: Python) -> None:
    job = python("import sys\nfor _ in range(1600): sys.stdout.write('x' * 65535 + '\\n')\nprint('the end')")
    finished = await run(job, output_limit="200MB")
    assert finished.exit_code == 0
    assert finished.truncated
    assert finished.output.endswith("the end\n")
    assert len(finished.output) == OUTPUT_BYTES
    assert job.log.stat().st_size > 100_000_000
    job.log.unlink()


async def test_bytes_of_the_output_that_are_not_text_are_replaced(python: Python) -> None:
    finished = await run(python("import os; os.write(1, b'a\\0b\\xff')"))
    assert finished.output == "a␀b�"


async def test_a_command_sees_the_environment_it_is_given_and_nothing_else(python: Python, tmp_path: Path) -> None:
    finished = await run(python("import os; print(sorted(set(os.environ) - {'LC_CTYPE', '__CF_USER_TEXT_ENCODING'}))"))
    assert finished.output == "['MARK']\n"


async def test_only_the_owner_can_read_the_output_and_the_command_has_the_user_s_umask(python: Python) -> None:
    job = python("import os; print(oct(os.umask(0)))")
    before = os.umask(0o002)
    try:
        finished = await run(job)
    finally:
        os.umask(before)
    assert finished.output == "0o2\n"
    assert [stat.S_IMODE(path.stat().st_mode) for path in (job.log.parent, job.log)] == [0o700, 0o600]


async def test_a_lost_turn_stops_the_command(python: Python) -> None:
    job, lost = python("import time; print('started', flush=True); time.sleep(600)"), asyncio.Event()
    running = asyncio.create_task(run(job, lost))
    await started(job)
    lost.set()
    finished = await running
    assert (finished.how, finished.reason) == (How.KILLED, "the turn was lost")


async def test_the_end_of_a_drain_stops_the_command(python: Python) -> None:
    job, drain = python("import time; print('started', flush=True); time.sleep(600)"), Drain(Stop(), 0)
    running = asyncio.create_task(run(job, drain=drain))
    await started(job)
    drain.kill.set()
    finished = await running
    assert (finished.how, finished.reason) == (How.KILLED, "Usher was stopped")


async def test_killing_the_guard_kills_its_command(python: Python) -> None:
    job = python("import time; print('started', flush=True); time.sleep(600)")
    running = asyncio.create_task(run(job))
    await started(job)
    for process in psutil.Process().children():
        if guard.__file__ in process.cmdline():
            process.kill()
    finished = await running
    assert (finished.how, finished.reason, finished.output) == (How.KILLED, "the guard died", "started\n")


async def test_before_a_command_is_started_it_is_known_that_nothing_was_started(python: Python) -> None:
    async with prepare(python("")) as prepared:
        assert (prepared.unfinished.how, prepared.unfinished.reason) == (How.KILLED, "it was not started")


@pytest.mark.parametrize("error", [asyncio.CancelledError, RuntimeError])
async def test_a_command_whose_run_is_abandoned_is_dead_and_was_stopped(
    python: Python, monkeypatch: pytest.MonkeyPatch, error: type[BaseException]
) -> None:
    job = python("import time; print('started', flush=True); time.sleep(600)")

    async def abandon(*_: object, **__: object) -> None:
        await started(job)
        raise error

    monkeypatch.setattr(asyncio, "wait", abandon)
    with pytest.raises(error):
        async with prepare(job) as prepared:
            await prepared.run(job, asyncio.Event(), Drain(Stop(), 0))
    assert prepared.unfinished.reason == "Usher stopped it before it had ended"
    monkeypatch.undo()
    assert [task for task in asyncio.all_tasks() if task is not asyncio.current_task()] == []


async def test_a_rehearsal_shows_the_command_and_runs_nothing(tmp_path: Path) -> None:
    job = Job(DEPLOY, ("/nowhere/deploy", "beta.abc.wwts.com", "ABC-1"), {}, tmp_path / "log")
    async with Rehearsal().prepare("beta.abc.wwts.com") as prepared:
        finished = await prepared.run(job, asyncio.Event(), Drain(Stop(), 0))
    assert (finished.how, finished.exit_code) == (How.EXITED, 0)
    assert "/nowhere/deploy beta.abc.wwts.com ABC-1" in finished.output


class BareGuard:
    """A guard whose `deploys` is this test, which sends no heartbeats by itself."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        assert process.stdin
        assert process.stdout
        self.stdin, self.stdout = process.stdin, process.stdout

    def send(self, **request: object) -> None:
        self.stdin.write(json.dumps(request).encode() + b"\n")

    async def hear(self) -> dict[str, object]:
        async with asyncio.timeout(10):
            return dict(json.loads(await self.stdout.readline()))


@pytest.fixture
async def bare(tmp_path: Path) -> AsyncIterator[BareGuard]:
    with FileLocks(tmp_path).hold("beta") as lock:
        argv = sys.executable, "-I", "-S", guard.__file__, "0.3", "0.2", str(lock)
        process = await asyncio.create_subprocess_exec(
            *argv, stdin=-1, stdout=-1, start_new_session=True, pass_fds=(lock,)
        )
    bare = BareGuard(process)
    assert "ready" in await bare.hear()
    yield bare
    bare.stdin.close()
    await process.wait()


def request_for(job: Job) -> dict[str, object]:
    job.log.parent.mkdir(parents=True, exist_ok=True)
    return {
        "deploy": job.deploy,
        "argv": job.argv,
        "cwd": ".",
        "env": dict(job.env),
        "log": str(job.log),
        "limit": 10**6,
    }


async def test_missing_heartbeats_stop_the_command(bare: BareGuard, python: Python) -> None:
    bare.send(start=request_for(python("import time; time.sleep(600)")))
    assert "started" in await bare.hear()
    began = time.monotonic()
    ended = await bare.hear()
    assert (ended["ended"], ended["stopped"]) == (-signal.SIGTERM, "deploys was silent for 0.3 s")
    assert time.monotonic() - began >= 0.25


async def test_a_closed_pipe_stops_the_command(bare: BareGuard, python: Python) -> None:
    bare.send(start=request_for(python("import time; time.sleep(600)")))
    assert "started" in await bare.hear()
    bare.stdin.close()
    assert (await bare.hear())["stopped"] == "deploys closed the pipe"


async def test_no_command_starts_after_a_missed_heartbeat(bare: BareGuard, python: Python, tmp_path: Path) -> None:
    os.kill(bare.process.pid, signal.SIGSTOP)
    await asyncio.sleep(0.5)  # longer than the silence: the guard must notice that it has passed
    bare.send(start=request_for(python(f"open('{tmp_path}/ran', 'w')")))
    os.kill(bare.process.pid, signal.SIGCONT)
    assert (await bare.hear())["refused"] == "a heartbeat was missed"
    await bare.process.wait()
    assert not (tmp_path / "ran").exists()
