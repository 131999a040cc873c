"""The library that a deployment script gets with `import usher`."""

import doctest
import json
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

import usher
from usher.api.client import Client
from usher.core.servers import Servers
from usher.settings import load

HEAVY = ("aio_pika", "fastapi", "httpx", "rich", "sqlalchemy", "typer", "uvicorn")


@pytest.mark.usefixtures("folder")
def test_the_examples_in_the_docstring_work() -> None:
    found = doctest.testmod(usher)
    assert (found.attempted > 3, found.failed) == (True, 0)


def test_importing_usher_loads_no_heavy_modules() -> None:
    code = f"import sys, usher; print([name for name in {HEAVY} if name in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_every_public_name_has_a_docstring() -> None:
    assert [name for name in usher.__all__ if not getattr(usher, name).__doc__] == []


def test_servers_is_a_function_of_the_package() -> None:
    assert usher.servers.__module__ == "usher"
    assert Servers.__module__ == "usher.core.servers"


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    "arguments", [["abc", "beta", "113", "111", "111"], ["beta.abc.wwts.com", "ABC-113", "ABC-111", "ABC-113"]]
)
def test_both_forms_of_a_command_are_equivalent(arguments: list[str]) -> None:
    server, issues = usher.parse(arguments)
    assert usher.full_form(server, issues) == ("beta.abc.wwts.com", "ABC-111", "ABC-113")
    assert usher.short_form(server, issues) == ("abc", "beta", "111", "113")


@pytest.mark.usefixtures("folder")
def test_an_invalid_command_raises_a_readable_error() -> None:
    with pytest.raises(usher.UsherError, match="name a server and its issues"):
        usher.parse(["abc"])
    with pytest.raises(usher.UsherError, match="unknown project XYZ; add"):
        usher.parse(["xyz", "beta", "1"])


@pytest.mark.usefixtures("nobody_answers")
def test_without_services_the_error_says_how_to_start_them() -> None:
    with pytest.raises(usher.UsherError, match=r"nothing answers at http://127.0.0.1:1 .*start it with `usher up`"):
        usher.send("ABC-111", "beta")


@pytest.mark.usefixtures("running")
def test_a_script_can_send_an_issue_and_see_its_deploy() -> None:
    message = usher.send("ABC-111", "beta")
    assert message.server == "beta.abc.wwts.com"
    deadline = time.monotonic() + 10
    while not (state := next(s for s in usher.servers() if s.server == message.server)).last:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert (state.state, state.last.outcome, usher.waiting(message.server)) == ("idle", "passed", ())


@pytest.mark.usefixtures("running")
def test_an_unknown_server_is_an_error_that_names_it() -> None:
    with pytest.raises(usher.UsherError, match=r"unknown server 'prod\.abc'"):
        usher.waiting("prod.abc")


SCRIPT = """
import json, os, pathlib, sys, usher
server, issues = usher.parse(sys.argv[2:])
running = next(state.running for state in usher.servers() if state.server == server.name)
saw = {"server": server.name, "issues": [str(issue) for issue in issues], "folder": os.getcwd(),
       "runs": running.deploy == os.environ["USHER_DEPLOY"], "source": usher.load().source, "env": dict(os.environ)}
written = pathlib.Path(sys.argv[1] + ".new")
written.write_text(json.dumps(saw))
written.rename(sys.argv[1])
"""
"""A deploy script that uses Usher. It writes down what it sees."""


class TestADeployScript:
    """A script that Usher runs finds the settings and the services of that Usher, in whatever directory it runs."""

    @pytest.fixture
    def saw(
        self, whole: Callable[..., AbstractContextManager[dict[str, str]]], folder: Path, tmp_path_factory
    ) -> Callable[..., dict[str, Any]]:
        """Deploys an issue with the script, in a directory of its own, and returns what the script saw."""
        elsewhere = tmp_path_factory.mktemp("elsewhere")

        def run(issue: str, **variables: str) -> dict[str, Any]:
            result = elsewhere / "result"
            command = json.dumps([sys.executable, "-c", SCRIPT, str(result), "{server}", "{issues}"])
            with whole(DEPLOYS__COMMAND=command, DEPLOYS__CWD=str(elsewhere), **variables) as environment:
                with Client(load(environment)) as client:
                    client.send(issue, "beta")
                deadline = time.monotonic() + 20
                while not result.exists():
                    assert time.monotonic() < deadline
                    time.sleep(0.05)
            saw: dict[str, Any] = json.loads(result.read_text())
            assert saw["folder"] == str(elsewhere)
            return saw

        return run

    def test_finds_the_file_in_the_directory_of_usher(self, folder: Path, saw) -> None:
        (folder / "usher.toml").write_text('[projects.shop]\n[servers]\nname = "{project}-{status}"\n')
        found = saw("SHOP-7")
        assert (found["server"], found["issues"], found["runs"]) == ("shop-beta", ["SHOP-7"], True)
        assert found["source"] == str(folder / "usher.toml")

    def test_finds_the_file_that_usher_was_given_by_a_relative_path(self, folder: Path, saw) -> None:
        (folder / "mine.toml").write_text("[projects.shop]\n")
        found = saw("SHOP-7", CONFIG="mine.toml")
        assert (found["server"], found["runs"]) == ("beta.shop.wwts.com", True)

    def test_finds_the_built_in_example_only_because_usher_uses_it(self, saw) -> None:
        found = saw("ABC-7", JIRA__SECRET="hunter2", SERVERS__NAME="{status}.{project}.example.com")
        assert (found["server"], found["runs"]) == ("beta.abc.example.com", True)
        assert Path(found["source"]).name == "example.toml"
        assert "hunter2" not in str(found["env"]), "secrets are not passed on"
        assert [name for name in found["env"] if name.endswith(("BROKER__URL", "LEDGER"))] == []

    def test_never_falls_back_to_the_built_in_example(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("USHER_DEPLOY", "0123456789ab")
        with pytest.raises(usher.UsherError, match="this is a deploy, but USHER_CONFIG is missing"):
            usher.parse(["abc", "beta", "1"])
