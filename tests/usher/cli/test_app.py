"""The command line: help, errors, exit codes, explain."""

import inspect
import json
import re
import subprocess
import sys

import pytest

from usher.cli.app import CONTENTS, load_command

COMMANDS = sorted(CONTENTS)


def test_it_has_these_commands() -> None:
    known = "abort demo doctor explain history hold holds ignored init orders parked rebuild release retry send servers"
    assert [*known.split(), "show", "up", "withdraw"] == COMMANDS


@pytest.mark.parametrize("command", COMMANDS)
def test_the_help_of_every_command_fits_a_terminal_and_has_examples(usher, command: str) -> None:
    result = usher(command, "--help")
    assert result.code == 0
    assert f"Usage: usher {command}" in result.out
    assert command == "demo" or "Examples:" in result.out
    assert max(map(len, result.out.splitlines())) <= 100


@pytest.mark.parametrize("command", COMMANDS)
def test_the_list_of_commands_says_of_each_what_its_own_help_begins_with(command: str) -> None:
    _, purpose = CONTENTS[command]
    assert inspect.cleandoc(load_command(command).help).partition("\n\n")[0].replace("\n", " ") == purpose


def test_a_misspelt_command_is_answered_with_the_right_one(usher) -> None:
    assert "Did you mean 'servers'?" in usher("servrs").err


@pytest.mark.programs
def test_the_help_loads_no_command() -> None:
    listing = (
        "import sys; from usher.cli import main; main(['--help']); print({'httpx', 'usher.settings'} & {*sys.modules})"
    )
    result = subprocess.run([sys.executable, "-c", listing], capture_output=True, text=True, check=True)
    assert result.stdout.splitlines()[-1] == "set()"


def test_without_arguments_it_lists_the_commands(usher) -> None:
    result = usher()
    assert all(command in result.out + result.err for command in COMMANDS)


def test_it_shows_its_version(usher) -> None:
    assert usher("--version").out.startswith("usher ")


@pytest.mark.parametrize("arguments", [["frobnicate"], ["show"], ["history", "--limit", "none"], ["send"]])
def test_wrong_usage_is_exit_code_2_without_a_traceback(usher, arguments: list[str]) -> None:
    result = usher(*arguments)
    assert result.code == 2
    assert result.out == ""
    assert "Traceback" not in result.err


@pytest.mark.programs
@pytest.mark.parametrize("arguments", [["--version"], ["explain", "ABC-111", "beta"]])
def test_python_m_usher_with_arguments_is_the_same_command(folder, arguments: list[str]) -> None:
    result = subprocess.run([sys.executable, "-m", "usher", *arguments], capture_output=True, text=True, check=True)
    assert result.stdout
    assert "\x1b" not in result.stdout


@pytest.mark.usefixtures("nobody_answers")
@pytest.mark.parametrize(
    "arguments",
    [
        ["servers"],
        ["show", "ABC-111"],
        ["history"],
        ["ignored"],
        ["send", "ABC-111", "beta"],
        ["withdraw", "ABC-111"],
        ["parked"],
        ["parked", "retry", "--all"],
        ["retry", "0123456789ab"],
        ["orders"],
    ],
)
def test_without_services_every_command_says_how_to_start_them(usher, arguments: list[str]) -> None:
    result = usher(*arguments)
    assert (result.code, result.out) == (1, "")
    assert "nothing answers at http://127.0.0.1" in result.err
    assert "start it with `usher up`" in result.err
    assert len(result.err.splitlines()) == 1


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["ABC-111"], "name a server and its issues: "),
        (["abc", "prod", "111"], "unknown status 'prod'; known: stage, test, beta"),
        (["prod.abc.wwts.com", "ABC-111"], "unknown server 'prod.abc.wwts.com'; known: "),
        (["beta.abc.wwts.com", "DEF-1"], "DEF-1 is not an issue of abc"),
        (["beta.abc.wwts.com", "ABC-1;id"], "'ABC-1;id' is not an issue"),
    ],
)
def test_send_refuses_invalid_words_with_a_readable_error(usher, words: list[str], says: str) -> None:
    result = usher("send", *words)
    assert result.code == 1
    assert re.search(says, result.err)


@pytest.mark.parametrize(("words", "code"), [([], 2), (["ABC-111"], 1), (["beta", "ABC-111"], 1)])
def test_send_lists_the_three_forms_if_the_words_match_none(usher, words: list[str], code: int) -> None:
    result = usher("send", *words)
    assert (result.code, result.out) == (code, "")
    for form in ("ABC-111 beta ", "abc beta 111 113", "beta.abc.wwts.com ABC-111 ABC-113"):
        assert f"usher send {form}" in result.err


def test_invalid_settings_are_a_readable_error(usher, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("USHER_DEPLOYS__PARALEL", "2")
    result = usher("explain", "ABC-111", "beta")
    assert (result.code, result.out) == (1, "")
    assert "did you mean USHER_DEPLOYS__PARALLEL?" in result.err


class TestExplain:
    def test_goes_from_the_issue_to_the_command(self, usher) -> None:
        result = usher("explain", "ABC-111", "Beta")
        assert result.code == 0
        assert [line.split()[0] for line in result.out.splitlines()] == ["issue", "status", "server", "command", "when"]
        assert "python -m wwts.devops.deploy beta.abc.wwts.com ABC-111" in result.out
        assert "rehearsal: [deploys] command is not set, nothing runs" in result.out
        assert "2 min after the last message, but no later than 8 min 17 s after the first" in result.out

    def test_knows_jira_s_names_and_ids(self, usher) -> None:
        assert '"10003" in Jira means beta' in usher("explain", "ABC-111", "10003").out

    @pytest.mark.parametrize(
        ("issue", "status"), [("XYZ-1", "beta"), ("ABC-1", "Ready for Beta"), ("ABC-1", "Prod"), ("DEF-1", "stage")]
    )
    def test_a_failed_step_shows_the_setting_that_fixes_it(self, usher, folder, issue: str, status: str) -> None:
        result = usher("explain", issue, status)
        assert result.code == 1
        lines = result.err.partition("\n\n")[2]
        (folder / "usher.toml").write_text(with_lines(lines))
        assert usher("explain", issue, status).code == 0

    def test_a_missing_program_is_only_a_warning(self, usher, monkeypatch: pytest.MonkeyPatch) -> None:
        assert "Warning" not in usher("explain", "ABC-111", "beta").out
        monkeypatch.setenv("USHER_DEPLOYS__COMMAND", '["no-such-program", "{server}"]')
        result = usher("explain", "ABC-111", "beta")
        last = result.out.splitlines()[-1]
        assert (result.code, last.startswith("Warning: [deploys] command: there is no program no-such-program")) == (
            0,
            True,
        )
        assert last.endswith("unless deploys runs on another machine.")
        assert json.loads(usher("explain", "ABC-111", "beta", "--json").out)["warning"] == last

    def test_an_invalid_issue_suggests_no_setting(self, usher) -> None:
        result = usher("explain", "abc-01", "beta")
        assert result.code == 1
        assert "'abc-01' is not an issue" in result.err
        assert "usher.toml" not in result.err

    def test_json_is_complete_even_if_a_step_fails(self, usher) -> None:
        passed, failed = usher("explain", "ABC-111", "beta", "--json"), usher("explain", "XYZ-1", "beta", "--json")
        assert json.loads(passed.out)["command"][-2:] == ["beta.abc.wwts.com", "ABC-111"]
        assert json.loads(failed.out)["steps"][-1]["fix"] == "[projects.xyz]"
        assert (passed.code, failed.code, failed.err) == (0, 1, "")


def with_lines(lines: str) -> str:
    """A settings file like the built-in example, with these lines as one of its sections."""
    header, _, rest = lines.strip().partition("\n")
    sections = {"[projects.abc]": "", "[projects.def]": 'statuses = ["test", "beta"]', header: rest}
    return "\n".join(f"{header}\n{rest}" for header, rest in sections.items())
