"""Runs the program of one service, and restarts it when it dies."""

import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from usher.core.errors import ServiceError
from usher.local.children import Child
from usher.runtime.addresses import local_url

Report = Callable[[str, str], None]
"""Takes the sender (a service's name, or "usher") and a line."""

IMMEDIATE_SECONDS = 5.0
TRIES = 3
PAUSE_SECONDS = 0.5
LINE_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Program:
    """A service's program: what to run and where it listens. To stop it has `share` seconds, plus `drain` seconds for
    running commands to finish."""

    name: str
    argv: tuple[str, ...]
    host: str
    port: int
    share: float
    drain: float = 0.0

    @property
    def url(self) -> str:
        """The address where it answers."""
        return local_url(self.host, self.port)


class Supervisor:
    """Runs one service. Restarts it when it dies, unless it exits immediately three times in a row."""

    def __init__(self, program: Program, env: Mapping[str, str], report: Report, failed: threading.Event) -> None:
        self.program = program
        self.fault: ServiceError | None = None
        self._env = env
        self._report = report
        self._failed = failed
        self._stopping = threading.Event()
        self._starting = threading.Lock()
        self._last_lines: deque[str] = deque(maxlen=5)
        report("usher", f"starting {program.name}")
        self._child = self._start()
        self._keeper = threading.Thread(target=self._keep, name=f"keep-{program.name}", daemon=True)
        self._keeper.start()

    def stop_restarting(self) -> None:
        """Do not start it again."""
        with self._starting:
            self._stopping.set()

    def stop(self) -> None:
        """Stop it within its share of the time."""
        self._child.stop()
        self._keeper.join(1)
        self._reader.join(0.5)  # for its last lines, unless a grandchild keeps the pipe open

    def kill(self) -> None:
        """Kill it."""
        self._child.kill()
        self._keeper.join(1)

    def _start(self) -> Child:
        name = self.program.name
        child = Child(
            self.program.argv, env=self._env, output=subprocess.PIPE, grace=self.program.share + self.program.drain
        )
        # in its own thread: a grandchild may keep the pipe open after the service has ended
        self._reader = threading.Thread(target=self._pass_on, args=(child,), name=f"log-{name}", daemon=True)
        self._reader.start()
        return child

    def _pass_on(self, child: Child) -> None:
        with child.lines as lines:
            while line := lines.readline(LINE_BYTES):
                text = line.decode("utf-8", "replace").rstrip("\r\n")
                self._last_lines.append(text)
                self._report(self.program.name, text)

    def _keep(self) -> None:
        failures = 0
        while True:
            began = time.monotonic()
            code = self._child.ended(None)
            failures = failures + 1 if time.monotonic() - began < IMMEDIATE_SECONDS else 0
            if self._stopping.is_set():
                return
            if failures >= TRIES:
                self._reader.join(0.5)
                lines = "\n".join(f"  {line}" for line in tuple(self._last_lines))
                self.fault = ServiceError(
                    why=f"{self.program.name} exited immediately, {TRIES} times (exit code {code}); "
                    f"fix what its last lines report:\n{lines}"
                )
                self._failed.set()
                return
            self._report("usher", f"{self.program.name} exited (exit code {code}); restarting it")
            self._stopping.wait(PAUSE_SECONDS)
            with self._starting:
                if self._stopping.is_set():
                    return
                self._child = self._start()
