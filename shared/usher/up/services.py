"""The three services as child processes: started together, restarted when they die, stopped in order."""

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
from usher.up.supervisor import Program, Report, Supervisor

READY_SECONDS = 60.0


def programs(settings: Settings) -> tuple[Program, ...]:
    """The three services, in the order in which they stop. Port 0 in the settings becomes a free port.

    `deploys` stops first, because its commands may need long to finish. `successes` handles their results, and
    `trackers` accepts moves until the end: Jira Data Center does not send a refused webhook again.
    """

    free = iter(free_ports(0, 0, 0))

    def program(name: str, web: WebSettings, share: float, drain: float = 0.0) -> Program:
        return Program(name, (sys.executable, "-m", name), web.host, web.port or next(free), share, drain)

    # deploys needs 5 s from TERM to KILL of a command that ignores TERM, and some for writing the outcome; with three
    # seconds for the broker, everything ends within 15 s plus `drain`
    return (
        program("deploys", settings.deploys, 9.0, settings.deploys.drain.total_seconds()),
        program("successes", settings.successes, 1.5),
        program("trackers", settings.trackers, 1.0),
    )


def check_ports(wanted: Sequence[Program]) -> None:
    """Raise ServiceError if one of the ports is not available."""
    for program in wanted:
        listen(program.host, program.port, program.name).close()


class Services:
    """Running services. `stopped` says whether all of them have been stopped in order."""

    def __init__(self, wanted: Sequence[Program], environment: Mapping[str, str], report: Report) -> None:
        """Start all of them. `environment` is added to that of this process."""
        ports = {f"USHER_{program.name.upper()}__PORT": str(program.port) for program in wanted}
        env = {**os.environ, **environment, **ports, "PYTHONUNBUFFERED": "1"}
        self._report = report
        self._failed = threading.Event()
        self._supervisors = [Supervisor(program, env, report, self._failed) for program in wanted]
        self.stopped = False

    def wait_ready(self) -> None:
        """Wait until all are ready. Raises ServiceError if one is not ready within a minute, or keeps failing."""
        with httpx.Client(timeout=5, trust_env=False) as client:
            deadline = time.monotonic() + READY_SECONDS
            for service in self._supervisors:
                while not all(_answers(client, service.program, path) for path in ("/health", "/ready")):
                    self._check()
                    if time.monotonic() > deadline:
                        raise ServiceError(
                            why=f"{service.program.name} did not become ready in {READY_SECONDS:.0f} s; "
                            "see its log lines"
                        )
                    self._failed.wait(0.1)
                self._report("usher", f"{service.program.name} is ready at {service.program.url}")

    def wait(self) -> None:
        """Wait until one keeps failing, and raise its ServiceError."""
        # with a timeout: a signal that arrives as the thread falls asleep would not wake it
        while not self._failed.wait(0.5):
            pass
        self._check()

    def stop(self) -> None:
        """Stop them in order. Each has its share of the time, and is killed if it does not end within it."""
        for service in self._supervisors:
            service.stop_restarting()
        for service in self._supervisors:
            self._report("usher", f"stopping {service.program.name}")
            if drain := service.program.drain:
                wait = f"waiting up to {drain:g} s for running commands; Ctrl-C again kills everything"
                self._report("usher", wait)
            service.stop()
        self.stopped = True

    def kill(self) -> None:
        """Kill all of them."""
        for service in self._supervisors:
            service.stop_restarting()
            service.kill()

    def _check(self) -> None:
        for service in self._supervisors:
            if service.fault:
                raise service.fault


@contextmanager
def running_services(wanted: Sequence[Program], environment: Mapping[str, str], report: Report) -> Iterator[Services]:
    """Run the services while the block runs, then stop them in order. An interrupt during the stop kills them.

    They may not be ready yet: call `wait_ready`. `report` gets their lines, from several threads. Raises ServiceError
    before it starts anything, if a port is taken.
    """
    check_ports(wanted)
    services = Services(wanted, environment, report)
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
