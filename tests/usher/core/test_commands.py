"""Commands: both forms of their arguments."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from usher.core import errors
from usher.core.commands import Command, full_form, parse_form, short_form
from usher.core.issues import Issue
from usher.core.servers import Server, Servers

BETA = Server("beta.abc.wwts.com", "beta", "abc")
SERVERS = Servers([BETA, Server("test.abc.wwts.com", "test", "abc")], {"beta": "beta"}, ("beta", "test"))
ISSUES = (Issue("ABC", 111), Issue("ABC", 113))

issue_lists = st.lists(st.integers(1, 10**9).map(lambda number: Issue("ABC", number)), min_size=1, max_size=20)


def test_the_full_form() -> None:
    command = Command(("python", "-m", "wwts.devops.deploy", "{server}", "{issues}"))
    assert " ".join(command.render(BETA, ISSUES)) == "python -m wwts.devops.deploy beta.abc.wwts.com ABC-111 ABC-113"


def test_the_short_form() -> None:
    command = Command(("python", "-m", "wwts.devops.deploy", "{project}", "{status}", "{numbers}"))
    assert " ".join(command.render(BETA, ISSUES)) == "python -m wwts.devops.deploy abc beta 111 113"


def test_a_placeholder_can_be_part_of_an_argument() -> None:
    assert Command(("x", "--to=https://{server}/{status}")).render(BETA, ISSUES) == (
        "x", "--to=https://beta.abc.wwts.com/beta",
    )  # fmt: skip


def test_other_braces_are_kept() -> None:
    assert Command(("x", '{"a": 1}', "${HOME}"[1:] and "a b")).render(BETA, ISSUES) == ("x", '{"a": 1}', "a b")


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        ((), "the command is empty"),
        (("",), "the command is empty"),
        (("x", "{sever}"), r"unknown placeholder \{sever\} in the command; known: \{server\}, "),
        (("x", "{}"), r"unknown placeholder \{\}"),
        (("x", "--issues={issues}"), r"\{issues\} expands to several arguments: it must stand alone"),
        (("x", "a\0b"), "NUL"),
    ],
)
def test_an_invalid_command_is_refused(argv: tuple[str, ...], says: str) -> None:
    with pytest.raises(errors.BadCommand, match=says):
        Command(argv)


@given(issue_lists)
def test_both_forms_parse_to_the_same_server_and_issues(issues: list[Issue]) -> None:
    expected = (BETA, tuple(sorted(set(issues))))
    assert parse_form(full_form(BETA, issues), SERVERS) == expected
    assert parse_form(short_form(BETA, issues), SERVERS) == expected


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (["beta.abc.wwts.com"], errors.BadCommand),
        (["nowhere", "ABC-1"], errors.UnknownServer),
        (["beta.abc.wwts.com", "DEF-1"], errors.BadCommand),
        (["beta.abc.wwts.com", "ABC-1", "--x"], errors.BadIssue),
        (["xyz", "beta", "1"], errors.UnknownProject),
        (["abc", "gamma", "1"], errors.UnknownStatus),
        (["abc", "beta", "0"], errors.BadIssue),
    ],
)
def test_invalid_arguments_are_refused(words: list[str], error: type[Exception]) -> None:
    with pytest.raises(error):
        parse_form(words, SERVERS)
