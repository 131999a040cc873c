"""Child processes that never outlive this one. Each runs under a small supervisor (`leash.py`) in its own session."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

LEASH = Path(__file__).with_name("leash.py")
KILL_SECONDS = 1.0


class Child:
    """A running program. It does not get the terminal's Ctrl-C, and ends with this process even if that is killed."""

    def __init__(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str],
        output: IO[bytes] | int,
        grace: float,
        keep: tuple[int, ...] = (),
        umask: int = -1,
    ) -> None:
        """Start it. It gets `grace` seconds to stop, and inherits the file descriptors in `keep`.

        A `umask` of -1 is that of this process.
        """
        self._grace = grace
        self._process = subprocess.Popen(  # noqa: S603 - a list of arguments, no shell
            [sys.executable, "-I", "-S", str(LEASH), str(grace), *argv],
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=dict(env),
            start_new_session=True,
            pass_fds=keep,
            umask=umask,
        )
        self._killed = False

    @property
    def group(self) -> int:
        """The id of its process group."""
        return self._process.pid

    @property
    def lines(self) -> IO[bytes]:
        """Its output, if `output` is a pipe."""
        assert self._process.stdout is not None  # noqa: S101 - the caller asked for a pipe
        return self._process.stdout

    def ended(self, seconds: float | None) -> int | None:
        """Wait up to `seconds` (None: without limit) for it to end. Returns its exit code, 128 + the number if a signal
        killed it, or None if it is still running."""
        try:
            code = self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None
        self.kill()
        return code

    def request_stop(self) -> None:
        """Ask it to stop, without waiting."""
        with contextlib.suppress(OSError):
            self._pipe.close()

    def stop(self) -> None:
        """Ask it to stop, wait for `grace`, then kill what is left. An interrupt during the wait kills it."""
        try:
            self.request_stop()
            self.ended(self._grace + KILL_SECONDS)
        finally:
            self.kill()

    def kill(self) -> None:
        """Kill it and everything in its process group."""
        if self._killed:
            return
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.group, signal.SIGKILL)
        self._process.wait()
        self._killed = True
        self.request_stop()

    @property
    def _pipe(self) -> IO[bytes]:
        assert self._process.stdin is not None  # noqa: S101 - started with a pipe
        return self._process.stdin
