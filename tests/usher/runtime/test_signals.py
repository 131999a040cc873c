"""A service's program and the signals that ask it to stop."""

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from odd_signals import EVERY, ignored_and_blocked

SERVICE = """
import asyncio, sys
from usher.runtime.service import main
async def say_when(event, text):
    await event.wait()
    print(text, flush=True)
async def serve(settings, stop):
    print("ready", flush=True)
    again = asyncio.create_task(say_when(stop.at_once, "asked again"))
    await say_when(stop, "asked to stop")
    await asyncio.to_thread(sys.stdin.read)
    return "at once" if again.done() else "in order"
sys.argv = ["test"]
sys.exit(main("test", "a test", serve))
"""

pytestmark = pytest.mark.programs

Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts a service that stops once it is asked to and its standard input is closed."""
    started: list[subprocess.Popen[str]] = []

    def start(prepare: Callable[[], object] | None = None) -> "subprocess.Popen[str]":
        pipe = subprocess.PIPE
        argv = [sys.executable, "-c", SERVICE]
        service = subprocess.Popen(argv, stdin=pipe, stdout=pipe, stderr=pipe, text=True, preexec_fn=prepare)
        started.append(service)
        assert said(service) == "ready"
        return service

    yield start
    for service in started:
        service.kill()
        service.communicate()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_each_of_these_signals_stops_a_service_in_order(start: Start, number: signal.Signals) -> None:
    service = start()
    service.send_signal(number)
    _, log = service.communicate(timeout=20)
    assert (service.returncode, log.strip().rpartition(" INFO    ")[2]) == (0, "stopped: in order")


def said(service: "subprocess.Popen[str]") -> str:
    assert service.stdout is not None
    return service.stdout.readline().strip()


def test_a_second_sigterm_is_a_second_signal_and_a_second_sighup_is_not(start: Start) -> None:
    service, patient = start(), start()
    for one, number in ((service, signal.SIGTERM), (patient, signal.SIGHUP)):
        one.send_signal(signal.SIGHUP)
        assert said(one) == "asked to stop"
        one.send_signal(number)
    assert said(service) == "asked again"
    logs = [one.communicate(timeout=20)[1].strip() for one in (service, patient)]
    assert [log.rpartition(": ")[2] for log in logs] == ["at once", "in order"]


def test_sighup_stays_ignored_if_it_was_ignored_at_the_start(start: Start) -> None:
    service = start(lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN))
    ignored, _ = ignored_and_blocked(Path(f"/proc/{service.pid}/status").read_text())
    assert signal.SIGHUP in ignored
    service.send_signal(signal.SIGHUP)
    service.terminate()
    _, log = service.communicate(timeout=20)
    assert log.strip().endswith("stopped: in order")


def test_a_service_that_was_started_with_blocked_signals_can_be_stopped(start: Start) -> None:
    service = start(lambda: signal.pthread_sigmask(signal.SIG_SETMASK, EVERY))
    service.terminate()
    service.communicate(timeout=20)
    assert service.returncode == 0
