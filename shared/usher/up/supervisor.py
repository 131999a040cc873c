"""One service's program, and keeping it running."""

import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from usher.core.errors import ServiceError
from usher.local.children import Child

Tell = Callable[[str, str], None]
"""Takes who says it (a service's name, or "usher") and a line."""

AT_ONCE_SECONDS = 5.0
TRIES = 3
PAUSE_SECONDS = 0.5
LINE_BYTES = 64 * 1024
ANYWHERE = {"0.0.0.0": "127.0.0.1", "::": "[::1]", "": "127.0.0.1"}  # noqa: S104 - to ask, not to listen


@dataclass(frozen=True, slots=True)
class Program:
    """A service's program: what to run, where it will listen, and the seconds it gets to stop in; `drain` more of them
    for what it runs to end by itself."""

    name: str
    argv: tuple[str, ...]
    host: str
    port: int
    share: float
    drain: float = 0.0

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://{ANYWHERE.get(self.host, self.host)}:{self.port}"


class Supervisor:
    """One service, started again when it dies, unless it dies at once three times in a row."""

    def __init__(self, program: Program, env: Mapping[str, str], tell: Tell, failed: threading.Event) -> None:
        self.program = program
        self.fault: ServiceError | None = None
        self._env = env
        self._tell = tell
        self._failed = failed
        self._leaving = threading.Event()
        self._starting = threading.Lock()
        self._last: deque[str] = deque(maxlen=5)
        tell("usher", f"starting {program.name}")
        self._child = self._start()
        self._keeper = threading.Thread(target=self._keep, name=f"keep-{program.name}", daemon=True)
        self._keeper.start()

    def leave(self) -> None:
        """From now on it is not started again."""
        with self._starting:
            self._leaving.set()

    def stop(self) -> None:
        """Stop it within its share of the time."""
        self._child.stop()
        self._keeper.join(1)
        self._reader.join(0.5)  # its last words, unless a grandchild keeps the pipe open

    def kill(self) -> None:
        """End it now."""
        self._child.kill()
        self._keeper.join(1)

    def _start(self) -> Child:
        name = self.program.name
        child = Child(
            self.program.argv, env=self._env, output=subprocess.PIPE, grace=self.program.share + self.program.drain
        )
        # not by the keeper: a grandchild may hold the pipe open for longer than the service lives
        self._reader = threading.Thread(target=self._pass_on, args=(child,), name=f"log-{name}", daemon=True)
        self._reader.start()
        return child

    def _pass_on(self, child: Child) -> None:
        with child.lines as lines:
            while line := lines.readline(LINE_BYTES):
                text = line.decode("utf-8", "replace").rstrip("\r\n")
                self._last.append(text)
                self._tell(self.program.name, text)

    def _keep(self) -> None:
        quickly = 0
        while True:
            began = time.monotonic()
            code = self._child.ended(None)
            quickly = quickly + 1 if time.monotonic() - began < AT_ONCE_SECONDS else 0
            if self._leaving.is_set():
                return
            if quickly >= TRIES:
                self._reader.join(0.5)
                said = "\n".join(f"  {line}" for line in tuple(self._last))
                self.fault = ServiceError(
                    why=f"{self.program.name} ended at once, {TRIES} times (exit code {code}); "
                    f"mend what its last lines say:\n{said}"
                )
                self._failed.set()
                return
            self._tell("usher", f"{self.program.name} ended (exit code {code}); starting it again")
            self._leaving.wait(PAUSE_SECONDS)
            with self._starting:
                if self._leaving.is_set():
                    return
                self._child = self._start()
