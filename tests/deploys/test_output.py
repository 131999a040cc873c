"""The output of a command: complete up to the limit, and never a reason for the command to block or to fail."""

import asyncio
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from hypothesis import given
from hypothesis import settings as rules
from hypothesis import strategies as st

from deploys import guard
from deploys.drain import Drain
from deploys.finished import OUTPUT_BYTES, tail
from deploys.jobs import Finished, How, Job
from deploys.output import CHUNK, KEPT, MAX_LEFT, TOO_LONG, LimitedFile, from_character, missing, whole_characters
from deploys.runner import Guarded
from usher.runtime.locks import FileLocks
from usher.runtime.service import Stop
from usher.settings.sections import DeploysSettings

real = pytest.mark.programs

LIMIT = 64 * 1024
MANY_LINES = "for number in range(200_000): print(f'{number:07} grün 🚀')\nprint('the end')"


def written(path: Path, data: bytes, limit: int = LIMIT, chunk: int = CHUNK) -> bytes:
    """The content of a file after this data was written to it."""
    file = LimitedFile(str(path), limit)
    for at in range(0, len(data), chunk):
        file.write(data[at : at + chunk])
    file.finish()
    assert file.fault is None
    return path.read_bytes()


@pytest.mark.parametrize("size", [0, 1, LIMIT - 1, LIMIT, LIMIT + 1, LIMIT + KEPT])
@pytest.mark.parametrize("chunk", [997, CHUNK])
def test_output_that_is_hardly_longer_than_the_limit_is_complete(tmp_path: Path, size: int, chunk: int) -> None:
    data = os.urandom(size)
    assert written(tmp_path / "log", data, chunk=chunk) == data


@pytest.mark.parametrize("chunk", [997, CHUNK])
def test_of_longer_output_the_file_has_the_beginning_a_line_that_says_so_and_the_end(
    tmp_path: Path, chunk: int
) -> None:
    data = "".join(f"{number:07}\n" for number in range(100_000)).encode()
    content = written(tmp_path / "log", data, chunk=chunk)
    assert content == data[:LIMIT] + missing(TOO_LONG) + data[-KEPT:]
    assert tail(tmp_path / "log") == (data[-OUTPUT_BYTES:].decode(), True)


@rules(deadline=None, max_examples=50)
@given(text=st.text(min_size=1, max_size=40), chunk=st.integers(1000, 9999), limit=st.integers(LIMIT, LIMIT + 40))
def test_no_character_is_divided(tmp_path_factory: pytest.TempPathFactory, text: str, chunk: int, limit: int) -> None:
    data = (text * (4 * (LIMIT + KEPT) // len(text.encode()))).encode()
    path = tmp_path_factory.mktemp("output") / "log"
    head, _, end = written(path, data, limit, chunk).partition(missing(TOO_LONG))
    assert data.startswith(head)
    assert data.endswith(end)
    assert limit - 3 <= len(head) <= limit
    assert len(end) >= OUTPUT_BYTES
    assert (head + end).decode()
    assert "\ufffd" not in tail(path)[0] or "\ufffd" in text


def test_only_an_incomplete_character_is_divided_from_the_rest() -> None:
    for character in ("e", "é", "€", "🚀"):
        encoded = character.encode()
        for length in range(1, len(encoded)):
            assert whole_characters(b"text" + encoded[:length]) == (b"text", encoded[:length])
            assert from_character(encoded[length:] + b"text") == b"text"
        assert whole_characters(encoded) == (encoded, b"")
    assert whole_characters(b"\xff\x80\x80\x80\x80") == (b"\xff\x80\x80\x80\x80", b"")


@pytest.fixture
def python(tmp_path: Path) -> Callable[[str], Job]:
    """Makes a job that runs the given Python code."""
    return lambda code: Job(
        "0123456789ab", (sys.executable, "-c", code), {"PYTHONUTF8": "1"}, tmp_path / "out" / "deploy.log"
    )


Python = Callable[[str], Job]


class Run:
    """A command under its guard, with the smallest output limit."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.ready = asyncio.Event()
        self.go = asyncio.Event()
        self.task = asyncio.create_task(self._run())

    async def _run(self) -> Finished:
        settings = DeploysSettings.model_validate({"grace": "300ms", "silence": "20s", "output_limit": LIMIT})
        async with Guarded(settings, FileLocks(self.job.log.parent.parent)).prepare("out") as prepared:
            self.ready.set()
            await self.go.wait()
            return await prepared.run(self.job, asyncio.Event(), Drain(Stop(), 0))

    async def guard(self) -> psutil.Process:
        """Its guard. The command has not been started yet."""
        await self.ready.wait()
        (found,) = [child for child in psutil.Process().children() if guard.__file__ in child.cmdline()]
        return found

    async def printed(self, text: str) -> None:
        """Start the command, and wait until its file contains this text."""
        self.go.set()
        async with asyncio.timeout(10):
            while not self.job.log.exists() or text not in self.job.log.read_text():
                await asyncio.sleep(0.01)

    async def finished(self) -> Finished:
        self.go.set()
        async with asyncio.timeout(30):
            return await self.task


@real
async def test_a_command_that_prints_too_much_passes_and_its_end_is_shown(python: Python) -> None:
    job = python(MANY_LINES)
    finished = await Run(job).finished()
    assert (finished.how, finished.exit_code, finished.truncated) == (How.EXITED, 0, True)
    assert finished.output.endswith("0199999 grün 🚀\nthe end\n")
    assert len(finished.output.encode()) > OUTPUT_BYTES - 4
    content = job.log.read_text(errors="strict")
    assert content.startswith("0000000 grün 🚀\n0000001 grün")
    assert content.count(missing(TOO_LONG).decode()) == 1
    assert job.log.stat().st_size < LIMIT + KEPT + 200


@real
async def test_stdout_and_stderr_are_in_order_and_no_terminal(python: Python) -> None:
    code = "import os\nfor n in range(5): os.write(1 + n % 2, f'{n} {os.isatty(1 + n % 2)}\\n'.encode())"
    assert (await Run(python(code)).finished()).output == "".join(f"{n} False\n" for n in range(5))


@real
async def test_a_full_disk_does_not_fail_the_command_and_the_result_says_what_is_missing(python: Python) -> None:
    run = Run(python("print('a' * 5000)\nprint('the end')"))
    (await run.guard()).rlimit(psutil.RLIMIT_FSIZE, (1000, 10**9))
    finished = await run.finished()
    assert (finished.how, finished.exit_code, finished.truncated) == (How.EXITED, 0, True)
    assert finished.output == "a" * 1000 + "(the rest of the output could not be written: File too large)\n"


@real
async def test_when_the_disk_has_room_again_the_end_of_the_output_is_written(python: Python, tmp_path: Path) -> None:
    code = f"""if True:
        import pathlib, time
        print("started", flush=True)
        for number in range(40_000): print(f"{{number:07}}")
        print("much", flush=True)
        pathlib.Path("{tmp_path}/much").touch()
        while not pathlib.Path("{tmp_path}/go").exists(): time.sleep(0.01)
        print("the end")
    """
    run = Run(python(code))
    process = await run.guard()
    process.rlimit(psutil.RLIMIT_FSIZE, (1000, 10**9))
    await run.printed("started")
    async with asyncio.timeout(10):
        while not (tmp_path / "much").exists():
            await asyncio.sleep(0.01)
    process.rlimit(psutil.RLIMIT_FSIZE, (10**9, 10**9))
    (tmp_path / "go").touch()
    finished = await run.finished()
    assert (finished.exit_code, finished.output.endswith("0039999\nmuch\nthe end\n")) == (0, True)
    head, _, end = run.job.log.read_text().partition(missing("File too large").decode())
    assert (len(head), len(end)) == (1000, KEPT)


@real
async def test_a_command_continues_where_it_was_after_its_guard_was_frozen(python: Python) -> None:
    run = Run(python("import time\nprint('started', flush=True)\ntime.sleep(0.1)\nprint('x' * 50_000 + 'y' * 50_000)"))
    process = await run.guard()
    await run.printed("started")
    process.send_signal(signal.SIGSTOP)
    await asyncio.sleep(0.3)
    process.send_signal(signal.SIGCONT)
    finished = await run.finished()
    assert (finished.exit_code, run.job.log.read_text()) == (0, f"started\n{'x' * 50_000}{'y' * 50_000}\n")


HOLDS = (
    "import os, time\nprint(os.getpid(), flush=True)\nwhile os.path.exists({path!r}): time.sleep(0.01)\nprint('end')"
)


async def hold(run: Run) -> int:
    """Open the command's pipe for writing in this process, which the guard does not know."""
    await run.printed("\n")
    return os.open(f"/proc/{run.job.log.read_text().strip()}/fd/1", os.O_WRONLY)


@real
async def test_a_stranger_that_holds_the_pipe_does_not_keep_the_guard(python: Python, tmp_path: Path) -> None:
    (tmp_path / "hold").touch()
    run = Run(python(HOLDS.format(path=f"{tmp_path}/hold")))
    pipe = await hold(run)
    (tmp_path / "hold").unlink()
    finished = await run.finished()
    os.close(pipe)
    assert (finished.exit_code, finished.output.endswith("\nend\n")) == (0, True)


@real
async def test_a_stranger_that_keeps_writing_does_not_keep_the_guard(python: Python, tmp_path: Path) -> None:
    (tmp_path / "hold").touch()
    run = Run(python(HOLDS.format(path=f"{tmp_path}/hold")))
    pipe = await hold(run)

    def flood() -> None:
        with suppress(BrokenPipeError):
            while True:
                os.write(pipe, b"x" * CHUNK)

    flooding = threading.Thread(target=flood, daemon=True)
    flooding.start()
    (tmp_path / "hold").unlink()
    finished = await run.finished()
    await asyncio.to_thread(flooding.join, 10)
    os.close(pipe)
    assert (finished.exit_code, flooding.is_alive()) == (0, False)
    assert run.job.log.stat().st_size < LIMIT + KEPT + MAX_LEFT


@real
async def test_a_file_is_as_old_as_the_end_of_its_command(python: Python, tmp_path: Path) -> None:
    (tmp_path / "hold").touch()
    run = Run(
        python(f"import os, time\nprint(1, flush=True)\nwhile os.path.exists('{tmp_path}/hold'): time.sleep(0.01)")
    )
    await run.printed("1")
    os.utime(run.job.log, (1, 1))
    (tmp_path / "hold").unlink()
    await run.finished()
    assert time.time() - run.job.log.stat().st_mtime < 3600
