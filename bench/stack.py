"""What is measured: a private broker, Usher's services, and other programs, each a process of its own."""

import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import httpx
import psutil
from yarl import URL

import body
from usher.local import startup
from usher.local.choose import Broker, running_broker
from usher.runtime.listening import free_ports
from usher.settings import load

ALL = ("trackers", "deploys", "successes")
READY_SECONDS = 300.0
MB = 1024 * 1024


@dataclass(frozen=True)
class Running:
    """A running process."""

    process: psutil.Process

    @property
    def memory(self) -> float:
        """Its resident memory and that of its children, in MB."""
        return self._sum(lambda one: one.memory_info().rss) / MB

    @property
    def peak(self) -> float:
        """The largest resident memory that it has had so far, without its children, in MB."""
        lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024

    @property
    def seconds(self) -> float:
        """The processor time that it has used so far, with its children."""
        return self._sum(lambda one: sum(one.cpu_times()[:4]))

    def _sum(self, quantity: Callable[[psutil.Process], float]) -> float:
        total = quantity(self.process)
        for child in self.process.children(recursive=True):
            with suppress(psutil.NoSuchProcess):  # a command may end meanwhile
                total += quantity(child)
        return total


@dataclass(frozen=True)
class Program(Running):
    """A running program, the port it listens on, and its log."""

    process: psutil.Popen
    port: int
    log: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def answers(self, path: str) -> bool:
        """Whether it answers there, and with anything but 503. Raises RuntimeError if the program has ended."""
        if self.process.poll() is not None:
            ended = f"{self.process.args} ended with exit code {self.process.returncode}"
            raise RuntimeError(f"{ended}:\n{self.log.read_text()[-2000:]}")
        with suppress(httpx.TransportError):
            return httpx.get(f"{self.url}{path}").status_code != httpx.codes.SERVICE_UNAVAILABLE
        return False

    def stop(self) -> None:
        """Stop it, and wait until it has ended."""
        if self.process.poll() is None:
            self.process.terminate()
        self.process.wait()


@contextmanager
def broker(folder: Path, again: Broker | None = None) -> Iterator[Broker]:
    """A private RabbitMQ with empty queues; or `again` the one that ran in the folder before, with its data."""
    if again:
        startup.USUAL_PORTS = (URL(again.url).port or 0, URL(again.console).port or 0)
    with running_broker(load({}), folder / "broker", kind="node", lasting=False) as found:
        if again and found.url != again.url:
            raise RuntimeError(f"another program has taken the port of {again.what}")
        yield found


def node(folder: Path) -> Running:
    """The broker that runs in the folder."""
    return Running(psutil.Process(int((folder / "broker" / "pid").read_text())))


@contextmanager
def program(command: Sequence[str], folder: Path, port: int, ready: str = "/", **variables: str) -> Iterator[Program]:
    """Run a program until the block ends. It has started when `ready` answers on its port."""
    with launched(command, folder, port, **variables) as running:
        wait(partial(running.answers, ready))
        yield running


@contextmanager
def launched(command: Sequence[str], folder: Path, port: int, **variables: str) -> Iterator[Program]:
    """Run a program until the block ends, without waiting for its start."""
    log = folder / f"{port}.log"
    with log.open("wb") as output:
        child = psutil.Popen(command, env={**os.environ, **variables}, stdout=output, stderr=output, cwd=folder)
    running = Program(child, port, log)
    try:
        yield running
    finally:
        running.stop()


def configure(folder: Path, servers: body.Servers) -> Path:
    """Write the settings file of services that run in the folder: they deploy to these servers only."""
    statuses: dict[str, list[str]] = {}
    for project, status in servers:
        statuses.setdefault(project, []).append(status)
    path = folder / "usher.toml"
    path.write_text("".join(f"[projects.{one.lower()}]\nstatuses = {json.dumps(statuses[one])}\n" for one in statuses))
    return path


def environment(folder: Path, at: Broker, settings: Mapping[str, str]) -> dict[str, str]:
    """The variables of Usher's programs with these settings (`DEPLOYS__PARALLEL`)."""
    variables = {
        "BROKER__URL": at.url,
        "SUCCESSES__LEDGER": f"sqlite:///{folder}/usher.db",
        "DEPLOYS__LOGS": str(folder / "deploys"),
        **settings,
    }
    return {f"USHER_{name}": value for name, value in variables.items()}


@contextmanager
def services(
    names: Sequence[str], folder: Path, at: Broker, settings: Mapping[str, str]
) -> Iterator[dict[str, Program]]:
    """Usher's services with these settings, started together, each ready."""
    ports = dict(zip(names, free_ports(*(0 for _ in names)), strict=True))
    settings = {**settings, **{f"{name.upper()}__PORT": str(port) for name, port in ports.items()}}
    variables = environment(folder, at, settings)
    with ExitStack() as stack:
        command = [sys.executable, "-m"]
        running = {n: stack.enter_context(launched([*command, n], folder, ports[n], **variables)) for n in names}
        for one in running.values():
            wait(partial(one.answers, "/ready"))
        yield running


def wait(condition: Callable[[], object], seconds: float = READY_SECONDS, every: float = 0.02) -> None:
    """Wait until the condition holds. Raises TimeoutError."""
    until = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > until:
            raise TimeoutError(f"not within {seconds:g} s")
        time.sleep(every)
