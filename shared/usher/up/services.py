"""The three services as child processes: started together, healed when they die, stopped in order."""

import os
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import httpx

from usher.core.errors import ServiceError
from usher.runtime.listening import free_ports, listen
from usher.settings import Settings
from usher.settings.sections import WebSettings
from usher.up.supervisor import Program, Supervisor, Tell

READY_SECONDS = 60.0


def programs(settings: Settings) -> tuple[Program, ...]:
    """The three services, in the order in which they stop; a port that is 0 in the settings becomes a free one."""

    free = iter(free_ports(0, 0, 0))

    def program(name: str, web: WebSettings, share: float, drain: float = 0.0) -> Program:
        return Program(name, (sys.executable, "-m", name), web.host, web.port or next(free), share, drain)

    # with the broker's own three seconds, all of it ends within ten, and what `drain` says
    return (
        program("trackers", settings.trackers, 1.0),
        program("deploys", settings.deploys, 4.0, settings.deploys.drain.total_seconds()),
        program("successes", settings.successes, 1.5),
    )


def check_ports(wanted: Sequence[Program]) -> None:
    """Raise ServiceError if one of them could not listen."""
    for program in wanted:
        listen(program.host, program.port, program.name).close()


class Services:
    """Running services. `stopped` says whether all of them have been stopped in order."""

    def __init__(self, wanted: Sequence[Program], environment: Mapping[str, str], tell: Tell) -> None:
        """Start them all. `environment` comes on top of this process's own."""
        ports = {f"USHER_{program.name.upper()}__PORT": str(program.port) for program in wanted}
        env = {**os.environ, **environment, **ports, "PYTHONUNBUFFERED": "1"}
        self._tell = tell
        self._failed = threading.Event()
        self._kept = [Supervisor(program, env, tell, self._failed) for program in wanted]
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
            if drain := kept.program.drain:
                wait = f"waiting up to {drain:g} s for what it runs; Ctrl-C again stops everything at once"
                self._tell("usher", wait)
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


def _answers(client: httpx.Client, program: Program, path: str) -> bool:
    try:
        return client.get(program.url + path).status_code == httpx.codes.OK
    except httpx.HTTPError:
        return False
