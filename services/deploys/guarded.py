"""A guard that is running, as seen from `deploys`: its heartbeats, its command, its replies."""

import asyncio
import json
import os
import signal
from collections.abc import Callable
from contextlib import suppress

from deploys.drain import Drain
from deploys.finished import finished, stuck
from deploys.jobs import NOT_STARTED, STOPPED, Finished, How, Job
from usher.runtime.locks import Locking
from usher.runtime.tasks import end
from usher.settings.sections import DeploysSettings

DYING, LOOKS = 5.0, 50
"""How many seconds the command of a dead guard may take to end, and how often to look."""

STOP_GRACE = 5.0
"""At most this many seconds from TERM to KILL when `deploys` stops."""


class GuardedCommand:
    """A guard that is running, and its command."""

    def __init__(
        self,
        process: asyncio.subprocess.Process,
        settings: DeploysSettings,
        silence: float,
        locking: Callable[[], Locking],
    ) -> None:
        assert process.stdin is not None  # noqa: S101 - it was started with pipes
        assert process.stdout is not None  # noqa: S101
        self._process, self._requests, self._replies = process, process.stdin, process.stdout
        self._settings = settings
        self._locking = locking
        self._heartbeats = asyncio.create_task(self._send_heartbeats(min(1.0, silence / 5)))
        self._pid: int | None = None
        self._is_stuck = False
        self.unfinished = NOT_STARTED

    async def run(self, job: Job, lost: asyncio.Event, drain: Drain) -> Finished:
        """See Prepared."""
        settings, log = self._settings, str(job.log.absolute())
        start = {
            "deploy": job.deploy, "argv": job.argv, "cwd": settings.cwd, "env": dict(job.env), "log": log,
            "limit": settings.output_limit,
        }  # fmt: skip
        self.unfinished = STOPPED
        self._send(start=start)
        reply = await self.hear("started", "failed", "refused")
        if "failed" in reply:
            return Finished(How.EXITED, f"the command could not be started: {reply['failed']}")
        if "refused" in reply:
            return Finished(How.KILLED, str(reply["refused"]))
        if not reply:
            return await self._without_guard(job)
        self._pid = int(str(reply["started"]))
        ending = asyncio.create_task(self.hear("ended", "stuck"))
        try:
            how, why = await self._until(ending, lost, drain.kill)
            ended = await asyncio.shield(ending)
        except BaseException:
            # whatever ends this run, the command has ended before it does, or is known to be stuck
            self._close_pipe()
            if "stuck" in await ending:
                self.unfinished = self._stuck("Usher stopped it", ending.result(), job)
            raise
        if "stuck" in ended:
            return self._stuck(why, ended, job)
        if not ended:
            return await self._without_guard(job)
        if ended["stopped"] and how is How.EXITED:
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

    async def _without_guard(self, job: Job) -> Finished:
        """The guard died. The command must die with it; if its lock is not free then, it has not."""
        if self._pid is not None:
            with suppress(OSError):
                os.killpg(self._pid, signal.SIGKILL)
        for _ in range(LOOKS):
            if not (locking := self._locking()).held or locking.deploy != job.deploy:
                return finished(How.KILLED, "the guard died", None, job.log, None)
            await asyncio.sleep(DYING / LOOKS)
        return self._stuck("the guard died", {"stuck": [self._pid] if self._pid else []}, job)

    def _stuck(self, why: str, said: dict[str, object], job: Job) -> Finished:
        self._is_stuck = True
        return stuck(why, said, job.log)

    async def close(self) -> bool:
        """Close the pipe and wait until the guard has ended, and with it the command; or until the command is stuck.

        Returns whether it is stuck.
        """
        self._close_pipe()
        await asyncio.gather(self._heartbeats, return_exceptions=True)
        if not self._is_stuck:
            await self._process.wait()
        return self._is_stuck
