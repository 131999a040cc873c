"""The guard: a small program that starts one command, and stops it when nobody vouches for it any more.

`deploys` starts it before it takes a deploy, and beats on its standard input. When the beats stop for `silence`
seconds, or the pipe closes, the guard stops the command: TERM to its process group, KILL after `grace` seconds. So
neither `kill -9` nor SIGSTOP of `deploys` leaves a command that runs on beside the next one.

    python -I -S guard.py SILENCE GRACE

Lines of JSON come in: {"beat": 1}, {"start": {"argv", "cwd", "env", "log"}}, {"stop": GRACE}. Lines of JSON go out:
{"ready": PID}, then one of {"refused": WHY} (a beat was missed before the start), {"failed": WHY} (it can't be
executed), {"started": PID}; at the end {"ended": EXIT CODE, negative for a signal, "stopped": WHY or null}.

It imports the standard library alone, so that it starts in a few milliseconds.
"""

import contextlib
import ctypes
import json
import os
import select
import signal
import subprocess
import sys
import time

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
LINUX = sys.platform == "linux"


def prctl(option: int, value: int) -> None:
    """prctl(2), where there is one."""
    if LINUX:
        ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0)


def say(**fact: object) -> None:
    """Tell `deploys`; if it is gone there is nobody to tell."""
    with contextlib.suppress(OSError):
        os.write(1, json.dumps(fact).encode() + b"\n")


def descendants() -> list[int]:
    """Every process below this one, for whom to signal: a look that a fast forker can slip through."""
    parents: dict[int, int] = {}
    for name in os.listdir("/proc") if LINUX else ():
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat", "rb") as file:
                    parents[int(name)] = int(file.read().rpartition(b")")[2].split()[1])
            except OSError:
                continue
    found = {os.getpid()}
    while more := {child for child, parent in parents.items() if parent in found and child not in found}:
        found |= more
    return sorted(found - {os.getpid()})


class Guard:
    """One command's guard."""

    def __init__(self, silence: float, grace: float) -> None:
        self.silence = silence
        self.grace = grace
        self.heard_at = time.monotonic()
        self.command: subprocess.Popen[bytes] | None = None
        self.exit_code: int | None = None
        self.stopped: str | None = None
        self.kill_at: float | None = None
        self.pending = b""
        self.childless = True
        self.wake, wake_in = os.pipe()
        for fd in (self.wake, wake_in):
            os.set_blocking(fd, False)
        signal.set_wakeup_fd(wake_in, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGTERM, lambda *_: self.stop("the guard was told to end", self.grace))
        prctl(PR_SET_CHILD_SUBREAPER, 1)

    def run(self) -> None:
        """Until the command and everything that it started has ended, or there will be none."""
        say(ready=os.getpid())
        listening = True
        while not self.over(listening):
            ready, _, _ = select.select([self.wake, *([0] if listening else [])], [], [], self.pause(listening))
            if 0 in ready:
                listening = self.listen()
            if self.wake in ready:
                os.read(self.wake, 4096)
            self.reap()
            self.enforce(listening)
        if self.command is not None:
            say(ended=self.exit_code, stopped=self.stopped)

    def over(self, listening: bool) -> bool:
        """Whether nothing is left to guard."""
        if self.command is None:
            return not listening or self.stopped is not None
        return self.exit_code is not None and not self.left()

    def pause(self, listening: bool) -> float | None:
        """Seconds until something has to be done even if nothing happens."""
        if self.kill_at is not None or self.exit_code is not None:
            return 0.05
        return max(0.0, self.heard_at + self.silence - time.monotonic()) if listening else None

    def listen(self) -> bool:
        """Take in what `deploys` says; False once the pipe is closed."""
        heard = os.read(0, 65536)
        *lines, self.pending = (self.pending + heard).split(b"\n")
        for line in lines:
            order = json.loads(line)
            if "start" in order:
                self.start(order["start"])
            elif "stop" in order:
                self.stop("deploys stopped it", order["stop"])
            if self.stopped is None and not self.missed():
                self.heard_at = time.monotonic()
        if not heard:
            self.stop("deploys has gone", self.grace)
        return bool(heard)

    def missed(self) -> bool:
        """Whether `deploys` has been silent for too long."""
        return time.monotonic() - self.heard_at > self.silence

    def start(self, order: dict[str, object]) -> None:
        """Start the command, unless nobody vouches for it."""
        if self.missed() or self.stopped:
            self.stop("a beat was missed", self.grace)
            say(refused=self.stopped)
            return
        try:
            with open(str(order["log"]), "ab") as log:
                self.command = subprocess.Popen(  # noqa: S603 - the settings name the program, no shell reads it
                    order["argv"],  # type: ignore[call-overload]
                    cwd=order["cwd"],
                    env=order["env"],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                    # should the guard itself be killed, the command goes with it
                    preexec_fn=lambda: prctl(PR_SET_PDEATHSIG, signal.SIGKILL),
                )
        except (OSError, ValueError, subprocess.SubprocessError) as error:
            self.stopped = "it could not be started"
            say(failed=str(error))
            return
        say(started=self.command.pid)

    def stop(self, why: str, grace: float) -> None:
        """Ask the command to end, and have it killed after `grace` seconds."""
        if self.stopped is None:
            self.stopped = why
        kill_at = time.monotonic() + grace
        self.kill_at = kill_at if self.kill_at is None else min(self.kill_at, kill_at)
        self.send(signal.SIGTERM)

    def reap(self) -> None:
        """Collect whatever has ended: the command, and orphans that came to us."""
        self.childless = False
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                self.childless = True
                return
            if pid == 0:
                return
            if self.command and pid == self.command.pid:
                self.exit_code = self.command.returncode = os.waitstatus_to_exitcode(status)

    def enforce(self, listening: bool) -> None:
        """Stop the command after silence; end what it left behind; kill what does not end."""
        if listening and self.stopped is None and self.missed():
            self.stop(f"deploys was silent for {self.silence:g} s", self.grace)
        if self.exit_code is not None and self.kill_at is None and self.left():
            self.kill_at = time.monotonic() + self.grace
            self.send(signal.SIGTERM)
        if self.kill_at is not None and time.monotonic() >= self.kill_at:
            self.send(signal.SIGKILL)

    def left(self) -> bool:
        """Whether anything that the command started is still there. Orphans come to their subreaper, so on Linux that
        is exactly whether we have a child."""
        if LINUX or not self.childless:
            return not self.childless
        try:
            os.killpg(self.command.pid, 0)  # type: ignore[union-attr]
        except OSError:
            return False
        return True

    def send(self, number: signal.Signals) -> None:
        """Signal the command's group, and whatever left it."""
        if self.command is None:
            return
        with contextlib.suppress(OSError):
            os.killpg(self.command.pid, number)
        for pid in descendants():
            with contextlib.suppress(OSError):
                os.kill(pid, number)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    Guard(float(sys.argv[1]), float(sys.argv[2])).run()
