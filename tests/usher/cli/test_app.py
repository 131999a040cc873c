"""The command as a person meets it: help, errors, exit codes, explain."""

import json
import re
import subprocess
import sys

import pytest
from typer.main import get_command

from usher.cli.app import app

COMMANDS = sorted(get_command(app).commands)


def test_it_has_these_commands() -> None:
    known = "demo doctor explain history ignored init orders parked rebuild retry send servers show up withdraw"
    assert known.split() == COMMANDS


@pytest.mark.parametrize("command", COMMANDS)
def test_the_help_of_every_command_fits_a_terminal_and_says_what_it_is_for(usher, command: str) -> None:
    said = usher(command, "--help")
    assert said.code == 0
    assert f"Usage: usher {command}" in said.out
    assert command == "demo" or "Examples:" in said.out
    assert max(map(len, said.out.splitlines())) <= 100


def test_without_arguments_it_shows_what_it_can_do(usher) -> None:
    said = usher()
    assert all(command in said.out + said.err for command in COMMANDS)


def test_it_says_its_version(usher) -> None:
    assert usher("--version").out.startswith("usher ")


@pytest.mark.parametrize("arguments", [["frobnicate"], ["show"], ["history", "--most", "none"], ["send"]])
def test_bad_usage_is_exit_code_2_and_no_traceback(usher, arguments: list[str]) -> None:
    said = usher(*arguments)
    assert said.code == 2
    assert said.out == ""
    assert "Traceback" not in said.err


@pytest.mark.parametrize("arguments", [["--version"], ["explain", "ABC-111", "beta"]])
def test_python_m_usher_with_arguments_is_the_same_command(folder, arguments: list[str]) -> None:
    said = subprocess.run([sys.executable, "-m", "usher", *arguments], capture_output=True, text=True, check=True)
    assert said.stdout
    assert "\x1b" not in said.stdout


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
def test_without_services_every_command_says_what_to_start(usher, arguments: list[str]) -> None:
    said = usher(*arguments)
    assert (said.code, said.out) == (1, "")
    assert "nothing answers at http://127.0.0.1" in said.err
    assert "start it with `usher up`" in said.err
    assert len(said.err.splitlines()) == 1


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
def test_words_that_cannot_be_sent_are_refused_in_a_sentence(usher, words: list[str], says: str) -> None:
    said = usher("send", *words)
    assert said.code == 1
    assert re.search(says, said.err)


@pytest.mark.parametrize(("words", "code"), [([], 2), (["ABC-111"], 1), (["beta", "ABC-111"], 1)])
def test_words_of_none_of_the_three_forms_are_answered_with_the_forms(usher, words: list[str], code: int) -> None:
    said = usher("send", *words)
    assert (said.code, said.out) == (code, "")
    for form in ("ABC-111 beta ", "abc beta 111 113", "beta.abc.wwts.com ABC-111 ABC-113"):
        assert f"usher send {form}" in said.err


def test_settings_that_do_not_load_are_a_sentence(usher, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("USHER_DEPLOYS__PARALEL", "2")
    said = usher("explain", "ABC-111", "beta")
    assert (said.code, said.out) == (1, "")
    assert "did you mean USHER_DEPLOYS__PARALLEL?" in said.err


class TestExplain:
    def test_goes_from_the_issue_to_the_command(self, usher) -> None:
        said = usher("explain", "ABC-111", "Beta")
        assert said.code == 0
        assert [line.split()[0] for line in said.out.splitlines()] == ["issue", "status", "server", "command", "when"]
        assert "python -m wwts.devops.deploy beta.abc.wwts.com ABC-111" in said.out
        assert "said, not run" in said.out
        assert "2 min after the last message, at the latest 8 min 17 s after the first" in said.out

    def test_knows_the_words_of_jira(self, usher) -> None:
        assert '"10003" in the tracker means beta' in usher("explain", "ABC-111", "10003").out

    @pytest.mark.parametrize(
        ("issue", "status"), [("XYZ-1", "beta"), ("ABC-1", "Ready for Beta"), ("ABC-1", "Prod"), ("DEF-1", "stage")]
    )
    def test_what_fails_names_the_lines_that_mend_it(self, usher, folder, issue: str, status: str) -> None:
        said = usher("explain", issue, status)
        assert said.code == 1
        lines = said.err.partition("\n\n")[2]
        (folder / "usher.toml").write_text(with_lines(lines))
        assert usher("explain", issue, status).code == 0

    def test_a_program_that_is_not_here_is_a_warning_for_it_may_be_elsewhere(
        self, usher, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        assert "Warning" not in usher("explain", "ABC-111", "beta").out
        monkeypatch.setenv("USHER_DEPLOYS__COMMAND", '["no-such-program", "{server}"]')
        said = usher("explain", "ABC-111", "beta")
        last = said.out.splitlines()[-1]
        assert (said.code, last.startswith("Warning: [deploys] command: there is no program no-such-program")) == (
            0,
            True,
        )
        assert last.endswith("unless deploys runs on another machine.")
        assert json.loads(usher("explain", "ABC-111", "beta", "--json").out)["warning"] == last

    def test_an_issue_that_is_none_needs_no_settings(self, usher) -> None:
        said = usher("explain", "abc-1", "beta")
        assert said.code == 1
        assert "'abc-1' is not an issue" in said.err
        assert "usher.toml" not in said.err

    def test_as_json_it_is_whole_also_when_it_fails(self, usher) -> None:
        passed, failed = usher("explain", "ABC-111", "beta", "--json"), usher("explain", "XYZ-1", "beta", "--json")
        assert json.loads(passed.out)["command"][-2:] == ["beta.abc.wwts.com", "ABC-111"]
        assert json.loads(failed.out)["steps"][-1]["mend"] == "[projects.xyz]"
        assert (passed.code, failed.code, failed.err) == (0, 1, "")


def with_lines(lines: str) -> str:
    """A settings file with these lines added to the sections of the built-in example that they name."""
    header, _, rest = lines.strip().partition("\n")
    sections = {"[projects.abc]": "", "[projects.def]": 'statuses = ["test", "beta"]', header: rest}
    return "\n".join(f"{header}\n{rest}" for header, rest in sections.items())
