"""Shared fixtures: a real broker, a fresh vhost for each test, and settings that use it."""

import os
import secrets
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import hypothesis
import pytest

from lines import Proxy, make_proxy, proxy
from postgres import postgres, postgres_url
from programs import Programs, make_programs
from usher.core.errors import BrokerError
from usher.local.choose import Broker, running_broker
from usher.local.container import IMAGE
from usher.settings import Settings, load
from usher.settings.load import example

HERE = Path(__file__).parent

__all__ = ["Programs", "Proxy", "make_programs", "make_proxy", "postgres", "postgres_url", "proxy"]

PROGRAMS = {"system", "faults"}
"""Folders whose tests start brokers or programs."""

NOT_QUICK = {*PROGRAMS, "web", "model", "crashes"}
"""Folders that are not even collected with `-m quick`."""

MakeSettings = Callable[..., Settings]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--broker",
        choices=("auto", "node", "container"),
        default="auto",
        help="the broker to test on: as Usher chooses it ([broker] url first), a private node, or a container",
    )
    parser.addoption(
        "--storm", type=float, default=2, help="how many minutes the parts of a whole Usher are killed for (2)"
    )


hypothesis.settings.register_profile("quick", max_examples=15)


def pytest_configure(config: pytest.Config) -> None:
    """Give what the tests start the signals and the variables of a terminal. Fewer examples of a property are quick.

    Tests in the background inherit ignored signals. A `make` that runs the tests hands its options to every other one.
    """
    for number in (signal.SIGINT, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)
    for name in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL"):
        os.environ.pop(name, None)
    if config.getoption("markexpr") == "quick":
        hypothesis.settings.load_profile("quick")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """With `-m quick`, leave out whole folders, because it takes seconds to import their tests."""
    quick = config.getoption("markexpr") == "quick"
    return True if quick and NOT_QUICK & set(collection_path.relative_to(HERE).parts) else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark tests that need neither a broker nor programs as `quick`, and those of web applications as `programs`."""
    for item in items:
        folders = set(item.path.relative_to(HERE).parts)
        if "web" in folders:
            item.add_marker("programs")
        alone = "broker" not in getattr(item, "fixturenames", ()) and not PROGRAMS & folders
        if alone and not any(mark.name in ("slow", "programs", "real") for mark in item.iter_markers()):
            item.add_marker("quick")


@pytest.fixture(autouse=True)
def nobodys_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run each test in an empty folder: the checkout may contain a developer's own usher.toml."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("USHER_CONFIG", raising=False)


@pytest.fixture(scope="session")
def broker(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """The broker of this test run. If there is none, tests fail; they are never skipped."""
    kind = request.config.getoption("--broker")
    if kind == "container":
        with container() as chosen:
            yield chosen
        return
    # with a private node, addresses from outside are ignored
    settings = load() if kind == "auto" else load({})
    with running_broker(settings, tmp_path_factory.mktemp("broker"), kind=kind, lasting=False) as chosen:
        yield chosen


@contextmanager
def container() -> Iterator[Broker]:
    """A temporary container of the newest RabbitMQ, ready for use."""
    os.environ["TESTCONTAINERS_RYUK_DISABLED"] = "true"  # read at import; the block below cleans up
    from testcontainers.core.container import DockerContainer

    user, password = "tests", secrets.token_hex(8)
    made = (
        DockerContainer(IMAGE)
        .with_env("RABBITMQ_DEFAULT_USER", user)
        .with_env("RABBITMQ_DEFAULT_PASS", password)
        .with_exposed_ports(5672, 15672)
    )
    with made:
        host = made.get_container_host_ip()
        url = f"amqp://{user}:{password}@{host}:{made.get_exposed_port(5672)}/"
        console = f"http://{host}:{made.get_exposed_port(15672)}"
        until(lambda: answers(url), seconds=90)
        yield Broker(url, console, "a container")


def answers(url: str) -> bool:
    """Whether a broker accepts us at that address."""
    try:
        with running_broker(load({"USHER_BROKER__URL": url}), Path("never-made")):
            return True
    except BrokerError:
        return False


def until(true: Callable[[], bool], *, seconds: float) -> None:
    """Wait until `true` holds, checking twenty times a second. Fail after that many seconds."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, f"not within {seconds} s"
        time.sleep(0.05)


@pytest.fixture
def vhost_url(broker: Broker) -> Iterator[str]:
    """The address of a vhost for this test."""
    name = f"test-{secrets.token_hex(6)}"
    with httpx.Client(base_url=broker.console, auth=broker.credentials, timeout=30) as console:
        console.put(f"/api/vhosts/{name}").raise_for_status()
        yield broker.url_of(name)
        console.delete(f"/api/vhosts/{name}").raise_for_status()


@pytest.fixture
def make_settings(vhost_url: str, tmp_path: Path) -> MakeSettings:
    """Makes settings for this vhost, with short spans and free ports; more as keywords: `DEPLOYS__PARALLEL="2"`."""

    def make(**variables: str) -> Settings:
        config = tmp_path / "example.toml"
        config.write_text(example())
        defaults = {
            "CONFIG": str(config),
            "BROKER__URL": vhost_url,
            "BROKER__HEARTBEAT": "1s",
            "WINDOW__QUIET": "200ms",
            "WINDOW__CAP": "1s",
            "WINDOW__FLOOR": "0s",
            "DEPLOYS__LOGS": str(tmp_path / "deploys"),
            "DEPLOYS__SILENCE": "1s",
            "DEPLOYS__GRACE": "500ms",
            "TRACKERS__PORT": "0",
            "DEPLOYS__PORT": "0",
            "SUCCESSES__PORT": "0",
            "SUCCESSES__LEDGER": f"sqlite:///{tmp_path}/usher.db",
        }
        return load({f"USHER_{key}": value for key, value in {**defaults, **variables}.items()})

    return make
