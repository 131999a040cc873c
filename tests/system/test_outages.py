"""The broker restarts, takes nothing for want of memory, or cannot be reached: what each service says meanwhile, and
that everything goes on by itself. On a broker in a container of the test's own."""

import os
import secrets
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from yarl import URL

from usher.broker.container import IMAGE

if TYPE_CHECKING:
    from conftest import Programs, Proxy

pytestmark = pytest.mark.slow

SERVICES = ("trackers", "deploys", "successes")
UNREACHABLE_SECONDS = 120
"""How long the broker cannot be reached."""

NOTICED_SECONDS = 15
RETURN_SECONDS = 30
"""The longest pause between two attempts, with jitter, and the time to begin anew."""


@dataclass(frozen=True)
class Container:
    """A broker that can be told what to do."""

    made: Any
    url: str

    def ctl(self, *arguments: str) -> None:
        """Run rabbitmqctl in it."""
        code, said = self.made.exec(["rabbitmqctl", *arguments])
        assert code == 0, said


@pytest.fixture
def container() -> Iterator[Container]:
    """A throw-away RabbitMQ."""
    os.environ["TESTCONTAINERS_RYUK_DISABLED"] = "true"
    from testcontainers.core.container import DockerContainer

    password = secrets.token_hex(8)
    made = (
        DockerContainer(IMAGE)
        .with_env("RABBITMQ_DEFAULT_USER", "tests")
        .with_env("RABBITMQ_DEFAULT_PASS", password)
        .with_exposed_ports(5672)
    )
    with made:
        until = time.monotonic() + 90
        while made.exec(["rabbitmqctl", "await_startup"])[0]:
            assert time.monotonic() < until, "RabbitMQ does not start"
        yield Container(made, f"amqp://tests:{password}@{made.get_container_host_ip()}:{made.get_exposed_port(5672)}/")


def test_whatever_befalls_the_broker_readiness_and_log_tell_and_everything_goes_on(
    container: Container, make_programs: "Callable[..., Programs]", make_proxy: "Callable[[str], Proxy]"
) -> None:
    proxy = make_proxy(container.url)
    line = URL(container.url).with_host("127.0.0.1").with_port(proxy.port)
    usher = make_programs(seconds=0.2, BROKER__URL=str(line), BROKER__HEARTBEAT="2s")
    usher.start(*SERVICES)
    begun = {service: len(usher.log(service)) for service in SERVICES}

    container.ctl("set_vm_memory_high_watermark", "0.0000001")
    usher.wait(lambda: ready(usher) == {503}, "no service is ready under a memory alarm", NOTICED_SECONDS)
    refused = told(usher, "ABC-1")
    assert (refused.status_code, "short of memory" in refused.text) == (503, True)
    assert refused.elapsed.total_seconds() < 1
    container.ctl("set_vm_memory_high_watermark", "0.4")
    goes_on(usher, "ABC-1")

    container.ctl("stop_app")
    usher.wait(lambda: ready(usher) == {503}, "no service is ready without a broker", NOTICED_SECONDS)
    assert told(usher, "ABC-2").status_code == 503
    container.ctl("start_app")
    goes_on(usher, "ABC-2")

    proxy.cut()
    usher.wait(lambda: ready(usher) == {503}, "no service is ready out of reach", NOTICED_SECONDS)
    stays(usher, 503, UNREACHABLE_SECONDS)
    proxy.mend()
    goes_on(usher, "ABC-3")

    for service in SERVICES:
        log = [line for line in usher.log(service)[begun[service] :].splitlines() if "broker" in line]
        changes = [text for text in log if "connecting again" in text or "connected to" in text]
        assert sum("takes no messages now" in line for line in log) <= 1
        # lost, why it cannot be had, and had again: for each of two losses
        assert 4 <= len(changes) <= 6, "\n".join(log)


def ready(usher: "Programs") -> set[int]:
    """What the services answer when they are asked whether they can work."""
    return {httpx.get(usher.url(service) + "/ready", timeout=10).status_code for service in SERVICES}


def told(usher: "Programs", issue: str) -> httpx.Response:
    answer = httpx.post(usher.url("trackers") + "/messages", json={"issue_id": issue, "status": "beta"}, timeout=20)
    assert answer.status_code == 201 or "Retry-After" in answer.headers
    return answer


def goes_on(usher: "Programs", issue: str) -> None:
    """All are ready again by themselves, and what is told is deployed."""
    usher.wait(lambda: ready(usher) == {200}, "every service is ready again", RETURN_SECONDS)
    assert told(usher, issue).status_code == 201
    usher.wait(lambda: any(issue in run.issues and run.ended for run in usher.runs()), f"{issue} is deployed")


def stays(usher: "Programs", code: int, seconds: float) -> None:
    """For so long, that is all that they answer."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        assert ready(usher) == {code}
        time.sleep(0.5)
