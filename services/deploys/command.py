"""The command of a guard, with all processes that it starts. It imports only the standard library, like the guard."""

import contextlib
import json
import os
import signal
import subprocess

from deploys.output import Output
from deploys.processes import LINUX, begin_command, descendants, signalled, user_of

NAMED = 100
"""How many processes of a stuck command the lock file names."""

DYING = 5.0
"""How many seconds a killed process may take to end."""


class Command:
    """A command that is running. `lock` is the server's lock file, which it inherits."""

    def __init__(self, request: dict[str, object], lock: int) -> None:
        """Start it. Raises OSError, ValueError or SubprocessError."""
        self.exit_code: int | None = None
        self._deploy, self._lock = str(request["deploy"]), lock
        self._childless = False
        self._sign()
        self._output = Output(str(request["log"]), int(str(request["limit"])))
        self._process: subprocess.Popen[bytes] = subprocess.Popen(  # noqa: S603 - the program is from the settings, and there is no shell
            request["argv"],  # type: ignore[call-overload]
            cwd=request["cwd"],
            env=request["env"],
            stdin=subprocess.DEVNULL,
            stdout=self._output.for_command,
            stderr=self._output.for_command,
            start_new_session=True,
            pass_fds=(lock,),
            preexec_fn=begin_command,
        )
        # only now: a process should not fork while it has threads
        self._output.begin()

    @property
    def pid(self) -> int:
        """Its process, which leads its process group."""
        return self._process.pid

    def end_of_output(self) -> str | None:
        """Write the end of the output into the file. Returns why that failed, or None."""
        return self._output.end()

    def reap(self) -> None:
        """Collect children that have ended: the command, and orphans that the kernel gave to us."""
        self._childless = False
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                self._childless = True
                return
            if pid == 0:
                return
            if pid == self.pid:
                self.exit_code = self._process.returncode = os.waitstatus_to_exitcode(status)

    def anything_left(self) -> bool:
        """Whether any descendant of the command is left.

        On Linux, we have a child exactly as long as one is left, because orphans become children of their subreaper.
        """
        if LINUX or not self._childless:
            return not self._childless
        try:
            os.killpg(self.pid, 0)
        except OSError:
            return False
        return True

    def signal(self, number: signal.Signals) -> set[int]:
        """Signal the command's process group, and descendants that have left the group. Returns who refused it."""
        with contextlib.suppress(OSError):
            os.killpg(self.pid, number)
        return {pid for pid in descendants() if not signalled(pid, number)}

    def kill(self, seconds: float) -> tuple[list[int], str]:
        """Kill it, `seconds` after the first time. Returns the processes that cannot be killed, and their user."""
        refused = self.signal(signal.SIGKILL)
        if not refused and seconds <= DYING:
            return [], ""
        self.reap()
        left = descendants() or [self.pid]
        pids = sorted(refused.intersection(left)) if refused else left
        if not pids or not self.anything_left():
            return [], ""
        user = user_of(pids[0])
        self._sign(pids=pids[:NAMED], user=user)
        return pids, user

    def _sign(self, **more: object) -> None:
        """Write into the lock file which deploy holds it. A full disk does not matter: the lock is held."""
        with contextlib.suppress(OSError, ValueError):
            said = json.loads(os.pread(self._lock, 4096, 0))
            data = json.dumps({"deploy": self._deploy, "past": said.get("past", []), **more}).encode()
            os.pwrite(self._lock, data, 0)
            os.ftruncate(self._lock, len(data))
