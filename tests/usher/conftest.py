"""Fixtures for the library and the command: all of Usher with real services, and the command in this process."""

import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from usher.cli import main
from usher.local.choose import Broker
from usher.settings import load
from usher.up import programs, running_services


@dataclass(frozen=True)
class Result:
    """The output and the exit code of the command."""

    code: int
    out: str
    err: str


Usher = Callable[..., Result]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory, and an environment without Usher's variables."""
    for name in [name for name in os.environ if name.startswith("USHER_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    return tmp_path


@pytest.fixture
def usher(folder: Path, capsys: pytest.CaptureFixture[str]) -> Usher:
    """Runs `usher` with the given arguments."""

    def run(*arguments: str) -> Result:
        code = main(arguments)
        result = capsys.readouterr()
        return Result(code, result.out, result.err)

    return run


@pytest.fixture
def nobody_answers(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings whose services don't run. Nothing listens on the lowest ports."""
    for number, service in enumerate(("TRACKERS", "DEPLOYS", "SUCCESSES"), 1):
        monkeypatch.setenv(f"USHER_{service}__PORT", str(number))


@pytest.fixture(scope="module")
def whole(
    broker: Broker, tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., AbstractContextManager[dict[str, str]]]:
    """Runs all of Usher on its own vhost. Keywords are additional variables. Yields the variables for its clients."""

    @contextmanager
    def run(**more: str) -> Iterator[dict[str, str]]:
        folder, name = tmp_path_factory.mktemp("services"), f"test-{secrets.token_hex(6)}"
        with httpx.Client(base_url=broker.console, auth=broker.credentials, timeout=30) as console:
            console.put(f"/api/vhosts/{name}").raise_for_status()
            variables = {
                "USHER_BROKER__URL": broker.url_of(name),
                "USHER_WINDOW__QUIET": "200ms",
                "USHER_WINDOW__CAP": "1s",
                "USHER_WINDOW__FLOOR": "0s",
                "USHER_DEPLOYS__LOGS": str(folder / "deploys"),
                "USHER_SUCCESSES__LEDGER": f"sqlite:///{folder}/usher.db",
                **{f"USHER_{service}__PORT": "0" for service in ("TRACKERS", "DEPLOYS", "SUCCESSES")},
                **{f"USHER_{name}": value for name, value in more.items()},
            }
            wanted = programs(load(variables))
            with running_services(wanted, variables, lambda who, line: None) as running:
                running.wait_ready()
                yield {**variables, **{f"USHER_{program.name.upper()}__PORT": str(program.port) for program in wanted}}
            console.delete(f"/api/vhosts/{name}").raise_for_status()

    return run


@pytest.fixture(scope="module")
def services(whole: Callable[..., AbstractContextManager[dict[str, str]]]) -> Iterator[dict[str, str]]:
    """All of Usher, with windows of 200 ms."""
    with whole() as variables:
        yield variables


@pytest.fixture
def running(folder: Path, services: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment of a user of this Usher."""
    for name, value in services.items():
        monkeypatch.setenv(name, value)
