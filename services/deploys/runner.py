"""Running a command under its guard: prepared before the taking, started after it, stopped by whatever comes first."""

import asyncio
import json
import logging
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from pathlib import Path
from typing import Protocol

from deploys import guard
from deploys.drain import Drain
from deploys.jobs import Finished, How, Job
from usher.core.errors import UsherError
from usher.runtime.tasks import end
from usher.settings.sections import DeploysSettings

log = logging.getLogger(__name__)

OUTPUT_BYTES = 64 * 1024
STOP_GRACE = 5.0
"""Seconds from TERM to KILL for a command that is cut because `deploys` stops."""


class GuardDied(UsherError):
    """the guard of a command did not start ({why}); is the machine out of memory, processes or files?"""


class Prepared(Protocol):
    """A guard that is there, with nothing started yet."""

    async def run(self, job: Job, lost: asyncio.Event, drain: Drain) -> Finished:
        """Run it to its end; cut when `lost` (the turn) or `drain.cut` is set. Only when this returns is it dead."""


class Runner(Protocol):
    """Prepares commands."""

    def prepare(self) -> AbstractAsyncContextManager[Prepared]:
        """A guard that is there for as long as the block runs. Raises GuardDied."""


class Rehearsal:
    """Says what it would run, and passes."""

    @asynccontextmanager
    async def prepare(self) -> AsyncIterator[Prepared]:
        """Nothing needs to be there."""
        yield self

    async def run(self, job: Job, lost: asyncio.Event, drain: Drain) -> Finished:
        """Passed, with the command as its output."""
        said = f"rehearsed, nothing was run: {' '.join(job.argv)}"
        log.info("%s", said)
        return Finished(How.BY_ITSELF, "rehearsed", 0, said + "\n")


class Guarded:
    """Runs commands, each under a guard of its own."""

    def __init__(self, settings: DeploysSettings) -> None:
        self._settings = settings

    @asynccontextmanager
    async def prepare(self) -> AsyncIterator[Prepared]:
        """Start a guard and beat for it until the block ends; leaving closes its pipe and waits for its end."""
        silence, grace = (span.total_seconds() for span in (self._settings.silence, self._settings.grace))
        try:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-I", "-S", guard.__file__, str(silence), str(grace),
                stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, env={}, start_new_session=True,
            )  # fmt: skip
        except OSError as error:
            raise GuardDied(why=str(error)) from None
        guarded = _GuardedCommand(process, self._settings, silence)
        try:
            if not await guarded.hear("ready"):
                raise GuardDied(why="it ended at once")
            yield guarded
        finally:
            await guarded.close()


class _GuardedCommand:
    def __init__(self, process: asyncio.subprocess.Process, settings: DeploysSettings, silence: float) -> None:
        assert process.stdin is not None  # noqa: S101 - it was started with pipes
        assert process.stdout is not None  # noqa: S101
        self._process, self._orders, self._words = process, process.stdin, process.stdout
        self._settings = settings
        self._beating = asyncio.create_task(self._beat(min(1.0, silence / 5)))
        self._pid: int | None = None

    async def run(self, job: Job, lost: asyncio.Event, drain: Drain) -> Finished:
        try:
            job.log.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            return Finished(How.BY_ITSELF, f"the command could not be started: {error}")
        start = {"argv": job.argv, "cwd": self._settings.cwd, "env": dict(job.env), "log": str(job.log.absolute())}
        self._say(start=start)
        said = await self.hear("started", "failed", "refused")
        if "failed" in said:
            return Finished(How.BY_ITSELF, f"the command could not be started: {said['failed']}")
        if "refused" in said or not said:
            return Finished(How.CUT, str(said.get("refused", "the guard died")))
        self._pid = int(str(said["started"]))
        ending = asyncio.create_task(self.hear("ended"))
        how, why = await self._until(ending, lost, drain.cut)
        ended = await ending
        if not ended:
            self._kill()
            how, why = How.CUT, "the guard died"
        elif ended["stopped"] and how is How.BY_ITSELF:
            how, why = How.CUT, str(ended["stopped"])
        code = ended.get("ended")
        if how is How.BY_ITSELF and drain.stop.is_set() and isinstance(code, int) and code < 0:
            # a service manager may stop the command together with us
            how, why = How.CUT, "Usher stops"
        return _finished(how, why, code if isinstance(code, int) else None, job.log)

    async def _until(
        self, ending: asyncio.Task[dict[str, object]], lost: asyncio.Event, cut: asyncio.Event
    ) -> tuple[How, str]:
        """Wait until the command ends, or tell it to: on a lost turn, at the end of a drain, when its time is over."""
        signs = [asyncio.create_task(event.wait()) for event in (lost, cut)]
        limit = self._settings.timeout.total_seconds()
        done, _ = await asyncio.wait((ending, *signs), timeout=limit, return_when=asyncio.FIRST_COMPLETED)
        await end(*signs)
        grace = self._settings.grace.total_seconds()
        if ending in done:
            return How.BY_ITSELF, ""
        if lost.is_set():
            self._close_pipe()
            return How.CUT, "the turn was lost"
        if cut.is_set():
            self._say(stop=min(grace, STOP_GRACE))
            return How.CUT, "Usher stops"
        self._say(stop=grace)
        return How.OUT_OF_TIME, f"it ran longer than {limit:g} s"

    async def hear(self, *kinds: str) -> dict[str, object]:
        """The guard's next word of one of these kinds; empty if it died."""
        while line := await self._words.readline():
            said = json.loads(line)
            if isinstance(said, dict) and any(kind in said for kind in kinds):
                return said
        return {}

    async def _beat(self, every: float) -> None:
        while True:
            self._say(beat=1)
            await asyncio.sleep(every)

    def _say(self, **order: object) -> None:
        if not self._orders.is_closing():
            self._orders.write(json.dumps(order).encode() + b"\n")

    def _close_pipe(self) -> None:
        self._beating.cancel()
        self._orders.close()

    def _kill(self) -> None:
        if self._pid is not None:
            with suppress(OSError):
                os.killpg(self._pid, signal.SIGKILL)

    async def close(self) -> None:
        """Close the pipe and wait until the guard, and so its command, has ended."""
        self._close_pipe()
        await self._process.wait()
        await asyncio.gather(self._beating, return_exceptions=True)


def make_runner(settings: DeploysSettings) -> Runner:
    """What runs the configured command; without one, what says it would."""
    return Rehearsal() if settings.rehearses else Guarded(settings)


def _finished(how: How, why: str, code: int | None, path: Path) -> Finished:
    output, more = tail(path)
    if how is How.BY_ITSELF:
        if code is not None and code < 0:
            why = f"it was ended by signal {-code}"
        else:
            why = "" if code == 0 else f"exit code {code}"
    return Finished(how, why, code, output, more, path)


def tail(path: Path, size: int = OUTPUT_BYTES) -> tuple[str, bool]:
    """The last `size` bytes of a file as text, and whether there was more. NULs, which no database takes, show as ␀."""
    try:
        with path.open("rb") as file:
            length = file.seek(0, os.SEEK_END)
            file.seek(max(0, length - size))
            text = file.read(size).decode("utf-8", "replace")
    except OSError as error:
        return f"(its output could not be read: {error})\n", False
    return text.replace("\0", "␀"), length > size
