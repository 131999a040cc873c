"""Fixtures for tests of faults: a broker that they may break, and the duration of the longest storms."""

import secrets
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from faults.containers import Container, own_container


@pytest.fixture(scope="module")
def modules_container() -> Iterator[Container]:
    """A RabbitMQ of this module. A test that breaks it must repair it."""
    with own_container() as container:
        yield container


@pytest.fixture
def say(capsys: pytest.CaptureFixture[str]) -> Callable[[dict[str, object]], None]:
    """Prints figures even if the test passes."""

    def say(figures: dict[str, object]) -> None:
        with capsys.disabled():
            print("", *(f"  {name}: {value}" for name, value in figures.items()), sep="\n")

    return say


@pytest.fixture
def storm_seconds(request: pytest.FixtureRequest) -> float:
    """The duration of the longest storms: `--storm`, in minutes."""
    return float(request.config.getoption("--storm")) * 60


@pytest.fixture
def container(modules_container: Container) -> Container:
    """The module's container, with a vhost of this test."""
    vhost = f"test-{secrets.token_hex(6)}"
    modules_container.console("PUT", f"vhosts/{vhost}")
    broker = modules_container.broker
    return replace(modules_container, broker=replace(broker, url=broker.url_of(vhost)))
