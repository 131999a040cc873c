"""The guard: a small program that runs one command, and stops it when `deploys` no longer confirms that it should run.

`deploys` starts the guard before it takes a deploy, and sends it heartbeats on its standard input. If no heartbeat
arrives for `silence` seconds, or the pipe closes, the guard stops the command: TERM to its processes, KILL after
`grace` seconds. So if `deploys` is killed or frozen, its command does not run on beside the next one.

    python -I -S guard.py SILENCE GRACE LOCK

LOCK is a descriptor of the server's lock file (`usher/runtime/locks.py`). The guard holds it until it ends, the command
inherits it, and the guard writes into the file which deploy it runs.

It reads lines of JSON: {"heartbeat": 1}, {"start": {"deploy", "argv", "cwd", "env", "log", "limit"}}, {"stop": GRACE}.

It writes lines of JSON: {"ready": PID}, then one of {"started": PID}, {"refused": WHY} (for example, a heartbeat was
missed before the start) and {"failed": WHY} (the command could not be started). When the command has ended, it writes
{"ended": EXIT CODE, "stopped": WHY or null, "unwritten": WHY or null}. The exit code is negative for a signal. The last
WHY says why the end of the output is not in the log. If processes of the command cannot be killed, because they belong
to another user or are stuck in the kernel, it first writes {"stuck": [PID, ...], "user": NAME}.

It imports only the standard library, so that it starts within a few milliseconds.
"""

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import time

if __name__ == "__main__":
    # it is started by its path, in isolated mode, so it must find its own package
    sys.path.append(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from deploys.command import Command
from deploys.processes import PR_SET_CHILD_SUBREAPER, default_signals, prctl


def send(**reply: object) -> None:
    """Send a line to `deploys`. If it has died, nobody needs the line."""
    with contextlib.suppress(OSError):
        os.write(1, json.dumps(reply).encode() + b"\n")


class Guard:
    """One command's guard."""

    def __init__(self, silence: float, grace: float, lock: int) -> None:
        self.silence = silence
        self.grace = grace
        self.lock = lock
        self.stuck = False
        self.heard_at = time.monotonic()
        self.command: Command | None = None
        self.stopped: str | None = None
        self.kill_at: float | None = None
        self.pending = b""
        self.wake, wake_in = os.pipe()
        for fd in (self.wake, wake_in):
            os.set_blocking(fd, False)
        signal.set_wakeup_fd(wake_in, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGTERM, lambda *_: self.stop("the guard was asked to stop", self.grace))
        prctl(PR_SET_CHILD_SUBREAPER, 1)

    def run(self) -> None:
        """Work until the command and all its descendants have ended, or until no command will start."""
        send(ready=os.getpid())
        listening = True
        while not self.over(listening):
            ready, _, _ = select.select([self.wake, *([0] if listening else [])], [], [], self.pause(listening))
            if 0 in ready:
                listening = self.listen()
            if self.wake in ready:
                os.read(self.wake, 4096)
            if self.command:
                self.command.reap()
            self.enforce(listening)
        if self.command:
            send(ended=self.command.exit_code, stopped=self.stopped, unwritten=self.command.end_of_output())

    def over(self, listening: bool) -> bool:
        """Whether the guard can exit."""
        if self.command is None:
            return not listening or self.stopped is not None
        return self.command.exit_code is not None and not self.command.anything_left()

    def pause(self, listening: bool) -> float | None:
        """Seconds until the next check is due, even if nothing happens."""
        if self.stuck:
            return 1.0
        if self.kill_at is not None or (self.command and self.command.exit_code is not None):
            return 0.05
        return max(0.0, self.heard_at + self.silence - time.monotonic()) if listening else None

    def listen(self) -> bool:
        """Read what `deploys` has sent; False once the pipe is closed."""
        data = os.read(0, 65536)
        *lines, self.pending = (self.pending + data).split(b"\n")
        for line in lines:
            request = json.loads(line)
            if "start" in request:
                self.start(request["start"])
            elif "stop" in request:
                self.stop("deploys stopped it", request["stop"])
            if self.stopped is None and not self.missed():
                self.heard_at = time.monotonic()
        if not data:
            self.stop("deploys closed the pipe", self.grace)
        return bool(data)

    def missed(self) -> bool:
        """Whether a heartbeat is overdue."""
        return time.monotonic() - self.heard_at > self.silence

    def start(self, request: dict[str, object]) -> None:
        """Start the command; refuse if a heartbeat was missed or the guard was stopped."""
        if self.missed() or self.stopped:
            self.stop("a heartbeat was missed", self.grace)
            send(refused=self.stopped)
            return
        try:
            self.command = Command(request, self.lock)
        except (OSError, ValueError, subprocess.SubprocessError) as error:
            self.stopped = "it could not be started"
            send(failed=str(error))
            return
        send(started=self.command.pid)

    def stop(self, why: str, grace: float) -> None:
        """Send TERM to the command, and have it killed after `grace` seconds."""
        if self.stopped is None:
            self.stopped = why
        kill_at = time.monotonic() + grace
        self.kill_at = kill_at if self.kill_at is None else min(self.kill_at, kill_at)
        if self.command:
            self.command.signal(signal.SIGTERM)

    def enforce(self, listening: bool) -> None:
        """Stop the command after a silence, end processes that it left behind, and kill what ignores TERM."""
        if listening and self.stopped is None and self.missed():
            self.stop(f"deploys was silent for {self.silence:g} s", self.grace)
        command = self.command
        if command and command.exit_code is not None and self.kill_at is None and command.anything_left():
            self.kill_at = time.monotonic() + self.grace
            command.signal(signal.SIGTERM)
        if command and self.kill_at is not None and time.monotonic() >= self.kill_at:
            self.kill(command, time.monotonic() - self.kill_at)

    def kill(self, command: Command, seconds: float) -> None:
        """Kill the command, `seconds` after the first time. Say so, once, if it cannot be killed."""
        pids, user = command.kill(seconds)
        if pids and not self.stuck:
            self.stuck = True
            send(stuck=pids, user=user)
            # we may outlive `deploys`, and whoever reads its log must then see its end
            os.dup2(os.open(os.devnull, os.O_WRONLY), 2)


if __name__ == "__main__":
    default_signals()
    # the guard reports a closed pipe or a full file as an error, and outlives Ctrl-C
    for ignored in (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGINT):
        signal.signal(ignored, signal.SIG_IGN)
    Guard(float(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3])).run()
