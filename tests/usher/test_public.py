"""The library that a deployment script gets with `import usher`."""

import doctest
import subprocess
import sys
import time

import pytest

import usher
from usher.core.servers import Servers

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
