"""The library: what a deployment script has after `import usher`."""

import doctest
import subprocess
import sys
import time

import pytest

import usher
from usher.core.servers import Servers

HEAVY = ("aio_pika", "fastapi", "httpx", "rich", "sqlalchemy", "typer", "uvicorn")


@pytest.mark.usefixtures("folder")
def test_the_example_in_its_documentation_is_true() -> None:
    found = doctest.testmod(usher)
    assert (found.attempted > 3, found.failed) == (True, 0)


def test_importing_it_loads_nothing_heavy() -> None:
    code = f"import sys, usher; print([name for name in {HEAVY} if name in sys.modules])"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "[]"


def test_everything_that_it_offers_is_documented() -> None:
    assert [name for name in usher.__all__ if not getattr(usher, name).__doc__] == []


def test_servers_is_the_function_and_the_module_can_still_be_imported_from() -> None:
    assert usher.servers.__module__ == "usher"
    assert Servers.__module__ == "usher.core.servers"


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    "arguments", [["abc", "beta", "113", "111", "111"], ["beta.abc.wwts.com", "ABC-113", "ABC-111", "ABC-113"]]
)
def test_both_forms_of_a_command_mean_the_same(arguments: list[str]) -> None:
    server, issues = usher.parse(arguments)
    assert usher.full_form(server, issues) == ("beta.abc.wwts.com", "ABC-111", "ABC-113")
    assert usher.short_form(server, issues) == ("abc", "beta", "111", "113")


@pytest.mark.usefixtures("folder")
def test_a_command_that_nobody_can_understand_is_an_error_in_a_sentence() -> None:
    with pytest.raises(usher.UsherError, match="name a server and its issues"):
        usher.parse(["abc"])
    with pytest.raises(usher.UsherError, match="unknown project XYZ; add"):
        usher.parse(["xyz", "beta", "1"])


@pytest.mark.usefixtures("nobody_answers")
def test_without_services_it_says_how_to_start_them() -> None:
    with pytest.raises(usher.UsherError, match=r"nothing answers at http://127.0.0.1:1 .*start it with `usher up`"):
        usher.send("ABC-111", "beta")


@pytest.mark.usefixtures("running")
def test_a_script_sends_an_issue_and_finds_it_on_its_server() -> None:
    message = usher.send("ABC-111", "beta")
    assert message.server == "beta.abc.wwts.com"
    deadline = time.monotonic() + 10
    while not (state := next(s for s in usher.servers() if s.server == message.server)).last:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert (state.state, state.last.outcome, usher.waiting(message.server)) == ("idle", "passed", ())


@pytest.mark.usefixtures("running")
def test_a_server_that_does_not_exist_is_an_error_that_names_it() -> None:
    with pytest.raises(usher.UsherError, match=r"unknown server 'prod\.abc'"):
        usher.waiting("prod.abc")
