"""Child processes that never outlive us: each runs on a leash, in a session of its own."""

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
    """A running program. It does not get the terminal's Ctrl-C, and ends with us even if we are killed."""

    def __init__(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str],
        output: IO[bytes] | int,
        grace: float,
        keep: tuple[int, ...] = (),
    ) -> None:
        """Start it. `grace` is the seconds it gets to stop in; `keep` are file descriptors that it inherits."""
        self._grace = grace
        self._leash = subprocess.Popen(  # noqa: S603 - a list of arguments, no shell
            [sys.executable, "-I", "-S", str(LEASH), str(grace), *argv],
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=dict(env),
            start_new_session=True,
            pass_fds=keep,
        )
        self._swept = False

    @property
    def group(self) -> int:
        """The id of its process group."""
        return self._leash.pid

    @property
    def lines(self) -> IO[bytes]:
        """What it prints, if `output` is a pipe."""
        assert self._leash.stdout is not None  # noqa: S101 - the caller asked for a pipe
        return self._leash.stdout

    def ended(self, seconds: float | None) -> int | None:
        """Its exit code (128 + the signal's number if one ended it), waiting so long for it (None: as long
        as it takes); None if it still runs."""
        try:
            code = self._leash.wait(seconds)
        except subprocess.TimeoutExpired:
            return None
        self.kill()
        return code

    def let_go(self) -> None:
        """Ask it to stop, without waiting."""
        with contextlib.suppress(OSError):
            self._held.close()

    def stop(self) -> None:
        """Ask it to stop, wait its grace, then kill what is left; at once if interrupted meanwhile."""
        try:
            self.let_go()
            self.ended(self._grace + KILL_SECONDS)
        finally:
            self.kill()

    def kill(self) -> None:
        """End it and everything in its process group now."""
        if self._swept:
            return
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.group, signal.SIGKILL)
        self._leash.wait()
        self._swept = True
        self.let_go()

    @property
    def _held(self) -> IO[bytes]:
        assert self._leash.stdin is not None  # noqa: S101 - made with a pipe
        return self._leash.stdin
