"""What is measured: a private broker, Usher's services, and other programs, each a process of its own."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil

from usher.local.choose import Broker, running_broker
from usher.runtime.listening import free_ports
from usher.settings import load

READY_SECONDS = 60.0
MB = 1024 * 1024


@dataclass(frozen=True)
class Program:
    """A running program, the port it listens on, and its log."""

    process: psutil.Process
    port: int
    log: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def memory(self) -> float:
        """Its resident memory and that of its children, in MB."""
        return sum(one.memory_info().rss for one in self._family()) / MB

    @property
    def seconds(self) -> float:
        """The processor time that it has used so far, with its children."""
        return sum(sum(one.cpu_times()[:2]) for one in self._family())

    def _family(self) -> list[psutil.Process]:
        return [self.process, *self.process.children(recursive=True)]


@contextmanager
def broker(folder: Path) -> Iterator[Broker]:
    """A private RabbitMQ with empty queues."""
    with running_broker(load({}), folder / "broker", kind="node", lasting=False) as found:
        yield found


@contextmanager
def program(command: Sequence[str], folder: Path, port: int, ready: str = "/", **variables: str) -> Iterator[Program]:
    """Run a program until the block ends. It has started when `ready` answers on its port."""
    log = folder / f"{port}.log"
    with log.open("wb") as output:
        child = subprocess.Popen(command, env={**os.environ, **variables}, stdout=output, stderr=output, cwd=folder)
    try:
        wait(lambda: _answers(port, ready, child, log))
        yield Program(psutil.Process(child.pid), port, log)
    finally:
        child.terminate()
        child.wait()


@contextmanager
def services(
    names: Sequence[str], folder: Path, at: Broker, settings: Mapping[str, str]
) -> Iterator[dict[str, Program]]:
    """Usher's services with these settings (`DEPLOYS__PARALLEL`), each ready."""
    ports = dict(zip(names, free_ports(*(0 for _ in names)), strict=True))
    variables = {"BROKER__URL": at.url, "SUCCESSES__LEDGER": f"sqlite:///{folder}/usher.db", **settings}
    variables |= {"DEPLOYS__LOGS": str(folder / "deploys")}
    variables |= {f"{name.upper()}__PORT": str(port) for name, port in ports.items()}
    environment = {f"USHER_{name}": value for name, value in variables.items()}
    with ExitStack() as stack:
        command = [sys.executable, "-m"]
        yield {
            name: stack.enter_context(program([*command, name], folder, ports[name], "/ready", **environment))
            for name in names
        }


def wait(condition: Callable[[], object], seconds: float = READY_SECONDS, every: float = 0.02) -> None:
    """Wait until the condition holds. Raises TimeoutError."""
    until = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > until:
            raise TimeoutError(f"not within {seconds:g} s")
        time.sleep(every)


def _answers(port: int, path: str, child: subprocess.Popen[bytes], log: Path) -> bool:
    if child.poll() is not None:
        raise RuntimeError(f"{child.args} ended with exit code {child.returncode}:\n{log.read_text()[-2000:]}")
    with suppress(httpx.TransportError):
        return httpx.get(f"http://127.0.0.1:{port}{path}").status_code != httpx.codes.SERVICE_UNAVAILABLE
    return False
