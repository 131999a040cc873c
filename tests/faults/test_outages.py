"""The broker dies, freezes, runs short of memory or disk space, or cannot be reached. Each service reports it, and
everything recovers without help. These tests use their own broker in a container."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import httpx
import pytest

from faults.containers import Container
from faults.storms import SERVICES, ready, storm
from lines import Proxy, through

if TYPE_CHECKING:
    from conftest import Programs

pytestmark = [pytest.mark.slow, pytest.mark.programs]

MakePrograms = Callable[..., "Programs"]
MakeProxy = Callable[[str], Proxy]

SESSIONS = {"trackers": 1, "deploys": 1, "successes": 2}
"""How many sessions each service has with the broker: `successes` has a second one, for orders."""

NOTICED_SECONDS = 15
RETURN_SECONDS = 30
"""The longest pause between two connection attempts, with jitter, and the time to start up again."""

ALARMS = {
    "memory": (["set_vm_memory_high_watermark", "0.0000001"], ["set_vm_memory_high_watermark", "0.4"]),
    "disk": (["set_disk_free_limit", "1000000GB"], ["set_disk_free_limit", "50MB"]),
}


@pytest.mark.long
def test_a_broker_that_is_killed_and_restarted_on_its_disk_has_lost_nothing(
    container: Container, make_programs: MakePrograms
) -> None:
    usher = make_programs(seconds=3, broker=container.broker)
    usher.start(*SERVICES)
    storm(usher, range(10))
    usher.wait(usher.runs, "a command runs")
    storm(usher, range(10, 15))
    container.kill()
    usher.wait(lambda: ready(usher) == {503}, "no service is ready without a broker", NOTICED_SECONDS)
    container.start()
    usher.wait(lambda: ready(usher) == {200}, "every service is ready again", RETURN_SECONDS)
    storm(usher, range(15, 20))
    history = usher.verify(120)
    print(history.figures({"broker": 1}))
    assert len(history.accepted) == 40


@pytest.mark.long
def test_a_frozen_broker_is_given_up_and_its_deploys_run_again(
    container: Container, make_programs: MakePrograms
) -> None:
    usher = make_programs(broker=container.broker)
    usher.start(*SERVICES)
    hold = usher.hold()
    usher.send("ABC-1", "beta")
    usher.wait(usher.runs, "a command runs")
    container.freeze()
    try:
        usher.wait(lambda: ready(usher) == {503}, "no service is ready without heartbeats", NOTICED_SECONDS)
        usher.wait(lambda: time.time() - usher.runs()[0].alive > 2, "the command is stopped")
    finally:
        container.thaw()
    hold.unlink()
    usher.wait(lambda: ready(usher) == {200}, "every service is ready again", RETURN_SECONDS)
    history = usher.verify(120)
    assert len(history.runs) == 2


@pytest.mark.long
@pytest.mark.parametrize("alarm", ALARMS)
def test_during_an_alarm_nothing_is_accepted_and_a_running_deploy_keeps_its_turn(
    container: Container, make_programs: MakePrograms, alarm: str
) -> None:
    usher = make_programs(broker=container.broker)
    usher.start(*SERVICES)
    hold = usher.hold()
    usher.send("ABC-1", "beta")
    usher.wait(usher.runs, "a command runs")
    with alarmed(container, alarm):
        usher.wait(lambda: ready(usher) == {503}, "no service is ready during an alarm", NOTICED_SECONDS)
        answer = post(usher, "ABC-2")
        assert (answer.status_code, "short of memory or disk" in answer.text) == (503, True)
        hold.unlink()
        usher.wait(lambda: usher.runs()[0].ended, "the command ends by itself")
    usher.wait(lambda: ready(usher) == {200}, "every service is ready again", RETURN_SECONDS)
    usher.send("ABC-2", "beta")
    history = usher.verify()
    # the result was kept until the broker accepted it, so ABC-1 is deployed once; the refused ABC-2 may already have
    # been on its way, and then arrives twice
    assert [run.issues for run in history.runs if run.issues != ("ABC-2",)] == [("ABC-1",)]


@pytest.mark.parametrize("unreachable", [30, pytest.param(120, marks=pytest.mark.long)])
def test_every_broker_outage_shows_in_readiness_and_log_and_everything_recovers(
    container: Container, make_programs: MakePrograms, make_proxy: MakeProxy, unreachable: int
) -> None:
    proxy = make_proxy(container.broker.url)
    line = through(proxy, container.broker.url)
    usher = make_programs(seconds=0.2, broker=container.broker, BROKER__URL=line, BROKER__HEARTBEAT="2s")
    usher.start(*SERVICES)
    begun = {service: len(usher.log(service)) for service in SERVICES}

    with alarmed(container, "memory"):
        usher.wait(lambda: ready(usher) == {503}, "no service is ready during a memory alarm", NOTICED_SECONDS)
        refused = post(usher, "ABC-1")
        assert (refused.status_code, "short of memory" in refused.text) == (503, True)
        assert refused.elapsed.total_seconds() < 1
    recovers(usher, "ABC-1")

    container.ctl("stop_app")
    usher.wait(lambda: ready(usher) == {503}, "no service is ready without a broker", NOTICED_SECONDS)
    assert post(usher, "ABC-2").status_code == 503
    container.ctl("start_app")
    recovers(usher, "ABC-2")

    proxy.cut()
    usher.wait(lambda: ready(usher) == {503}, "no service is ready without a connection", NOTICED_SECONDS)
    stays(usher, 503, unreachable)
    proxy.restore()
    recovers(usher, "ABC-3")

    for service, sessions in SESSIONS.items():
        log = [line for line in usher.log(service)[begun[service] :].splitlines() if "broker" in line]
        changes = [text for text in log if "connecting again" in text or "connected to" in text]
        assert sum("accepts no messages" in line for line in log) <= sessions
        # for each session and each of two losses: lost, why it cannot be opened, open again; and one line more if the
        # broker answers before its queues have started
        assert 4 * sessions <= len(changes) <= 7 * sessions, "\n".join([f"{service} says {len(changes)} changes", *log])


@contextmanager
def alarmed(container: Container, alarm: str) -> Iterator[None]:
    """While the block runs, the broker is short of that resource."""
    begin, end = ALARMS[alarm]
    container.ctl(*begin)
    try:
        yield
    finally:
        container.ctl(*end)


def post(usher: "Programs", issue: str) -> httpx.Response:
    answer = httpx.post(usher.url("trackers") + "/messages", json={"issue_id": issue, "status": "beta"}, timeout=20)
    assert answer.status_code == 201 or "Retry-After" in answer.headers
    return answer


def recovers(usher: "Programs", issue: str) -> None:
    """Wait until every service is ready again without help, and a new message is deployed."""
    usher.wait(lambda: ready(usher) == {200}, "every service is ready again", RETURN_SECONDS)
    assert post(usher, issue).status_code == 201
    usher.wait(lambda: any(issue in run.issues and run.ended for run in usher.runs()), f"{issue} is deployed")


def stays(usher: "Programs", code: int, seconds: float) -> None:
    """Check that the services answer only this code for that long."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        assert ready(usher) == {code}
        time.sleep(0.5)
