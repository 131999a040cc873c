"""The three services as child processes: started together, healed when they die, stopped in order."""

import os
import socket
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import httpx

from usher.broker.node import free_port
from usher.children import Child
from usher.errors import ServiceError
from usher.settings import Settings
from usher.settings.model import WebSettings

Tell = Callable[[str, str], None]
"""Takes who says it (a service's name, or "usher") and a line."""

READY_SECONDS = 60.0
AT_ONCE_SECONDS = 5.0
TRIES = 3
PAUSE_SECONDS = 0.5
LINE_BYTES = 64 * 1024
ANYWHERE = {"0.0.0.0": "127.0.0.1", "::": "[::1]", "": "127.0.0.1"}  # noqa: S104 - to ask, not to listen


@dataclass(frozen=True, slots=True)
class Program:
    """A service's program: what to run, where it will listen, and the seconds it gets to stop in."""

    name: str
    argv: tuple[str, ...]
    host: str
    port: int
    share: float

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://{ANYWHERE.get(self.host, self.host)}:{self.port}"


def programs(settings: Settings) -> tuple[Program, ...]:
    """The three services, in the order in which they stop; a port that is 0 in the settings becomes a free one."""

    def program(name: str, web: WebSettings, share: float) -> Program:
        return Program(name, (sys.executable, "-m", name), web.host, web.port or free_port(), share)

    # with the broker's own three seconds, all of it ends within ten
    return (
        program("trackers", settings.trackers, 1.0),
        program("deploys", settings.deploys, 4.0),
        program("successes", settings.successes, 1.5),
    )


def check_ports(wanted: Sequence[Program]) -> None:
    """Raise ServiceError if one of them could not listen."""
    for program in wanted:
        try:
            socket.create_server((program.host, program.port)).close()
        except OSError as error:
            raise ServiceError(
                why=f"{program.name} cannot listen on {program.host}:{program.port} ({error.strerror}); "
                f"stop what listens there, or choose another with USHER_{program.name.upper()}__PORT"
            ) from None


class Services:
    """Running services. `stopped` says whether all of them have been stopped in order."""

    def __init__(self, wanted: Sequence[Program], environment: Mapping[str, str], tell: Tell) -> None:
        """Start them all. `environment` comes on top of this process's own."""
        ports = {f"USHER_{program.name.upper()}__PORT": str(program.port) for program in wanted}
        env = {**os.environ, **environment, **ports, "PYTHONUNBUFFERED": "1"}
        self._tell = tell
        self._failed = threading.Event()
        self._kept = [_Kept(program, env, tell, self._failed) for program in wanted]
        self.stopped = False

    def wait_ready(self) -> None:
        """Wait until each is ready for its work. Raises ServiceError if one is not in a minute, or gives up."""
        with httpx.Client(timeout=5, trust_env=False) as client:
            deadline = time.monotonic() + READY_SECONDS
            for kept in self._kept:
                while not (_answers(client, kept.program, "/health") and _answers(client, kept.program, "/ready")):
                    self._check()
                    if time.monotonic() > deadline:
                        raise ServiceError(
                            why=f"{kept.program.name} did not become ready in {READY_SECONDS:.0f} s; "
                            "its lines in the log say why"
                        )
                    self._failed.wait(0.1)
                self._tell("usher", f"{kept.program.name} is ready at {kept.program.url}")

    def wait(self) -> None:
        """Wait until one gives up, and raise its ServiceError."""
        # not for ever at once: a signal that comes as the thread falls asleep would not wake it
        while not self._failed.wait(0.5):
            pass
        self._check()

    def stop(self) -> None:
        """Stop them in order, each in its share of the time; one that doesn't end in it is killed."""
        for kept in self._kept:
            kept.leave()
        for kept in self._kept:
            self._tell("usher", f"stopping {kept.program.name}")
            kept.stop()
        self.stopped = True

    def kill(self) -> None:
        """End them all now."""
        for kept in self._kept:
            kept.leave()
            kept.kill()

    def _check(self) -> None:
        for kept in self._kept:
            if kept.fault:
                raise kept.fault


@contextmanager
def running_services(wanted: Sequence[Program], environment: Mapping[str, str], tell: Tell) -> Iterator[Services]:
    """The services, running for as long as the block runs, then stopped in order; killed if interrupted meanwhile.

    They may not be ready yet: `wait_ready`. `tell` gets their lines, from several threads. Raises ServiceError if a
    port is taken, before anything is started.
    """
    check_ports(wanted)
    services = Services(wanted, environment, tell)
    try:
        yield services
    finally:
        try:
            services.stop()
        finally:
            services.kill()


class _Kept:
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
        child = Child(self.program.argv, env=self._env, output=subprocess.PIPE, grace=self.program.share)
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
                said = "\n".join(f"  {line}" for line in self._last)
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


def _answers(client: httpx.Client, program: Program, path: str) -> bool:
    try:
        return client.get(program.url + path).status_code == httpx.codes.OK
    except httpx.HTTPError:
        return False
