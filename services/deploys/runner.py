"""Runs a command under its guard: the guard starts before the taking, the command after it."""

import asyncio
import json
import logging
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import Protocol

from deploys import guard
from deploys.drain import Drain
from deploys.finished import finished
from deploys.jobs import Finished, How, Job
from usher.core.errors import UsherError
from usher.runtime.private import private_folder
from usher.runtime.tasks import end
from usher.settings.sections import DeploysSettings

log = logging.getLogger(__name__)

STOP_GRACE = 5.0
"""At most this many seconds from TERM to KILL when `deploys` stops."""


class GuardDied(UsherError):
    """the guard of a command did not start ({why}); is the machine out of memory, processes or files?"""


NOT_STARTED = Finished(How.KILLED, "it was not started")
STOPPED = Finished(How.KILLED, "Usher stopped it before it had ended")


class Prepared(Protocol):
    """A guard that is running and has not started its command yet."""

    @property
    def unfinished(self) -> Finished:
        """How the command ended if `run` was not called, or did not return because it was cancelled or failed."""

    async def run(self, job: Job, lost: asyncio.Event, drain: Drain) -> Finished:
        """Run the command; kill it when `lost` (the turn) or `drain.kill` is set. It is dead when this returns."""


class Runner(Protocol):
    """Prepares commands."""

    def prepare(self) -> AbstractAsyncContextManager[Prepared]:
        """A guard that runs for as long as the block does. Raises GuardDied."""


class Rehearsal:
    """Logs the command instead of running it, and passes."""

    unfinished = NOT_STARTED

    @asynccontextmanager
    async def prepare(self) -> AsyncIterator[Prepared]:
        """A rehearsal needs no guard."""
        yield self

    async def run(self, job: Job, lost: asyncio.Event, drain: Drain) -> Finished:
        """Pass, with the command as the output."""
        line = f"rehearsed, nothing was run: {' '.join(job.argv)}"
        log.info("%s", line)
        return Finished(How.EXITED, "rehearsed", 0, line + "\n")


class Guarded:
    """Runs commands, each under a guard of its own."""

    def __init__(self, settings: DeploysSettings) -> None:
        self._settings = settings

    @asynccontextmanager
    async def prepare(self) -> AsyncIterator[Prepared]:
        """Start a guard and send it heartbeats until the block ends; then close its pipe and wait for its end."""
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
                raise GuardDied(why="it exited immediately")
            yield guarded
        finally:
            await guarded.close()


class _GuardedCommand:
    def __init__(self, process: asyncio.subprocess.Process, settings: DeploysSettings, silence: float) -> None:
        assert process.stdin is not None  # noqa: S101 - it was started with pipes
        assert process.stdout is not None  # noqa: S101
        self._process, self._requests, self._replies = process, process.stdin, process.stdout
        self._settings = settings
        self._heartbeats = asyncio.create_task(self._send_heartbeats(min(1.0, silence / 5)))
        self._pid: int | None = None
        self.unfinished = NOT_STARTED

    async def run(self, job: Job, lost: asyncio.Event, drain: Drain) -> Finished:
        try:
            private_folder(job.log.parent)
        except OSError as error:
            return Finished(How.EXITED, f"the command could not be started: {error}")
        settings, log = self._settings, str(job.log.absolute())
        start = {
            "argv": job.argv, "cwd": settings.cwd, "env": dict(job.env), "log": log, "limit": settings.output_limit
        }  # fmt: skip
        self.unfinished = STOPPED
        self._send(start=start)
        reply = await self.hear("started", "failed", "refused")
        if "failed" in reply:
            return Finished(How.EXITED, f"the command could not be started: {reply['failed']}")
        if "refused" in reply or not reply:
            return Finished(How.KILLED, str(reply.get("refused", "the guard died")))
        self._pid = int(str(reply["started"]))
        ending = asyncio.create_task(self.hear("ended"))
        try:
            how, why = await self._until(ending, lost, drain.kill)
            ended = await ending
        finally:
            await end(ending)
        if not ended:
            self._kill()
            how, why = How.KILLED, "the guard died"
        elif ended["stopped"] and how is How.EXITED:
            how, why = How.KILLED, str(ended["stopped"])
        code = ended.get("ended")
        if how is How.EXITED and drain.stop.is_set() and isinstance(code, int) and code < 0:
            # a service manager may have signalled the command when it signalled us
            how, why = How.KILLED, "Usher was stopped"
        return finished(how, why, code if isinstance(code, int) else None, job.log, ended.get("unwritten"))

    async def _until(
        self, ending: asyncio.Task[dict[str, object]], lost: asyncio.Event, kill: asyncio.Event
    ) -> tuple[How, str]:
        """Wait until the command ends, or have it stopped: on a lost turn, at the end of a drain, or on a time-out."""
        events = [asyncio.create_task(event.wait()) for event in (lost, kill)]
        limit = self._settings.timeout.total_seconds()
        try:
            done, _ = await asyncio.wait((ending, *events), timeout=limit, return_when=asyncio.FIRST_COMPLETED)
        finally:
            await end(*events)
        grace = self._settings.grace.total_seconds()
        if ending in done:
            return How.EXITED, ""
        if lost.is_set():
            self._close_pipe()
            return How.KILLED, "the turn was lost"
        if kill.is_set():
            self._send(stop=min(grace, STOP_GRACE))
            return How.KILLED, "Usher was stopped"
        self._send(stop=grace)
        return How.TIMED_OUT, f"it ran longer than {limit:g} s"

    async def hear(self, *kinds: str) -> dict[str, object]:
        """The guard's next reply of one of these kinds; empty if the guard died."""
        while line := await self._replies.readline():
            reply = json.loads(line)
            if isinstance(reply, dict) and any(kind in reply for kind in kinds):
                return reply
        return {}

    async def _send_heartbeats(self, every: float) -> None:
        while True:
            self._send(heartbeat=1)
            await asyncio.sleep(every)

    def _send(self, **request: object) -> None:
        if not self._requests.is_closing():
            self._requests.write(json.dumps(request).encode() + b"\n")

    def _close_pipe(self) -> None:
        self._heartbeats.cancel()
        self._requests.close()

    def _kill(self) -> None:
        if self._pid is not None:
            with suppress(OSError):
                os.killpg(self._pid, signal.SIGKILL)

    async def close(self) -> None:
        """Close the pipe and wait until the guard has ended, and with it the command."""
        self._close_pipe()
        await self._process.wait()
        await asyncio.gather(self._heartbeats, return_exceptions=True)


def make_runner(settings: DeploysSettings) -> Runner:
    """A runner for the configured command; a rehearsal if none is configured."""
    return Rehearsal() if settings.rehearses else Guarded(settings)
