"""Runs a command under its guard: the guard starts before the taking, the command after it."""

import asyncio
import logging
import sys
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Protocol

from deploys import guard
from deploys.drain import Drain
from deploys.guarded import GuardedCommand
from deploys.jobs import NOT_STARTED, Finished, How, Job
from usher.core.errors import UsherError
from usher.runtime.locks import FileLocks, Locking, Locks
from usher.settings.sections import DeploysSettings

log = logging.getLogger(__name__)


_left: list[asyncio.subprocess.Process] = []
"""The guards of stuck commands. asyncio kills a process that nobody refers to."""


class GuardDied(UsherError):
    """the guard of a command did not start ({why}); is the machine out of memory, processes or files?"""


class Prepared(Protocol):
    """A guard that is running and has not started its command yet."""

    @property
    def unfinished(self) -> Finished:
        """How the command ended if `run` was not called, or did not return because it was cancelled or failed."""

    async def run(self, job: Job, lost: asyncio.Event, drain: Drain) -> Finished:
        """Run the command; kill it when `lost` (the turn) or `drain.kill` is set.

        When this returns, the command is dead, or stuck (`How.STUCK`).
        """


class Runner(Protocol):
    """Prepares commands."""

    def prepare(self, server: str) -> AbstractAsyncContextManager[Prepared]:
        """A guard that runs for as long as the block does, and longer if its command is stuck.

        Raises GuardDied, Locked or NoLock.
        """

    def locking(self, server: str) -> Locking:
        """Whether a command of that server is left on this machine, and of which deploy."""


class Rehearsal:
    """Logs the command instead of running it, and passes."""

    unfinished = NOT_STARTED

    @asynccontextmanager
    async def prepare(self, server: str) -> AsyncIterator[Prepared]:
        """A rehearsal needs no guard."""
        yield self

    def locking(self, server: str) -> Locking:
        """Nothing is ever left."""
        return Locking()

    async def run(self, job: Job, lost: asyncio.Event, drain: Drain) -> Finished:
        """Pass, with the command as the output."""
        line = f"rehearsed, nothing was run: {' '.join(job.argv)}"
        log.info("%s", line)
        return Finished(How.EXITED, "rehearsed", 0, line + "\n")


class Guarded:
    """Runs commands, each under a guard of its own."""

    def __init__(self, settings: DeploysSettings, locks: Locks) -> None:
        self._settings = settings
        self._locks = locks

    @asynccontextmanager
    async def prepare(self, server: str) -> AsyncIterator[Prepared]:
        """Start a guard and send it heartbeats until the block ends. Then close its pipe, and wait until the guard has
        ended or its command is stuck."""
        silence, grace = (span.total_seconds() for span in (self._settings.silence, self._settings.grace))
        try:
            with self._locks.hold(server) as lock:
                process = await asyncio.create_subprocess_exec(
                    sys.executable, "-I", "-S", guard.__file__, str(silence), str(grace), str(lock), pass_fds=(lock,),
                    stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, env={}, start_new_session=True,
                )  # fmt: skip
        except OSError as error:
            raise GuardDied(why=str(error)) from None
        guarded = GuardedCommand(process, self._settings, silence, partial(self._locks.read, server))
        try:
            if not await guarded.hear("ready"):
                raise GuardDied(why="it exited immediately")
            yield guarded
        finally:
            if await guarded.close():
                _left.append(process)

    def locking(self, server: str) -> Locking:
        """What the server's lock says."""
        return self._locks.read(server)


def make_runner(settings: DeploysSettings) -> Runner:
    """A runner for the configured command; a rehearsal if none is configured."""
    return Rehearsal() if settings.rehearses else Guarded(settings, FileLocks(Path(settings.logs)))
