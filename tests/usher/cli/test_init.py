"""`usher init`: its questions, the answers that it refuses, and the file that it writes."""

import os
import re
import tomllib
from pathlib import Path

import pytest
from typer.testing import CliRunner

from usher.cli.app import app
from usher.cli.new_settings import NewSettings
from usher.settings import load

COMMAND = "python -m wwts.devops.deploy {server} {issues}"


def typed(*answers: str) -> str:
    """Keyboard input: one answer per line."""
    return "".join(f"{answer}\n" for answer in answers)


def init(*arguments: str, typing: str = "") -> tuple[int, str]:
    result = CliRunner().invoke(app, ["init", *arguments], input=typing)
    return result.exit_code, result.output


@pytest.fixture
def file(folder: Path) -> Path:
    return folder / "usher.toml"


def test_the_default_answers_write_a_valid_file_that_rehearses(file: Path) -> None:
    code, result = init(typing=typed("", "", "", "", "", "", "", ""))
    assert (code, "Wrote usher.toml: 3 servers" in result) == (0, True)
    settings = load({})
    assert [server.name for server in settings.catalogue] == [f"{s}.abc.wwts.com" for s in ("beta", "stage", "test")]
    assert settings.deploys.rehearses


def test_only_the_owner_can_read_a_new_file_and_an_existing_one_keeps_its_mode(file: Path) -> None:
    init("--yes")
    assert file.stat().st_mode & 0o777 == 0o600
    file.chmod(0o640)
    init(typing=typed("", "", "", "", "", "", "", "y"))
    assert file.stat().st_mode & 0o777 == 0o640


def test_it_writes_the_answers(file: Path) -> None:
    words = ["", "QA, 10002", "Ready for Beta", "live=Done, 10009", ""]
    init(typing=typed("shop, BLOG", *words, "{project}-{status}.example.com", COMMAND, "y"))
    settings = load({})
    assert list(settings.projects) == ["shop", "blog"]
    assert {status: named.jira for status, named in settings.statuses.items()} == {
        "test": ("QA", "10002"),
        "beta": ("Ready for Beta",),
        "live": ("Done", "10009"),
    }
    assert settings.catalogue.find("SHOP", "qa").name == "shop-test.example.com"
    assert settings.deploys.command == tuple(COMMAND.split())


def test_answers_from_a_file_may_begin_with_a_byte_order_mark(file: Path) -> None:
    assert init(typing="\ufeff" + typed("shop", "", "", "", "", "", "", "y"))[0] == 0
    assert list(load({}).projects) == ["shop"]


@pytest.mark.parametrize(
    ("place", "wrong", "says"),
    [
        (0, "9x", "[projects] 9x: does not match"),
        (0, ",", "no project is named"),
        (4, "qa", "has no names or ids of Jira; write it like"),
        (5, "{stauts}.{project}", "{stauts} is unknown in [servers] name; did you mean {status}?"),
        (5, "one.server", "use {status} and {project} so that the names differ"),
        (6, "deploy {issue}", "unknown placeholder {issue} in the command; known:"),
        (6, 'deploy "{server}', "cannot be split into arguments"),
        (6, "[1]", "is not a list of strings"),
    ],
)
def test_a_wrong_answer_repeats_the_question(file: Path, place: int, wrong: str, says: str) -> None:
    answers = ["abc", "", "", "", "", "", COMMAND, "y"]
    code, result = init(typing=typed(*answers[:place], wrong, *answers[place:]))
    assert (code, says in result) == (0, True)
    assert load({}).deploys.command == tuple(COMMAND.split())


def test_a_name_for_two_statuses_is_refused(file: Path) -> None:
    assert init("--yes", "--status", "test=Same", "--status", "beta=same")[0] != 0
    assert not file.exists()


def test_with_options_and_yes_it_asks_nothing(file: Path) -> None:
    command = '["python", "-m", "d", "{project}", "{status}", "{numbers}"]'
    code, _ = init("-y", "--project", "shop", "--project", "blog", "--status", "beta=To Beta", "--command", command)
    assert code == 0
    assert tomllib.loads(file.read_text())["projects"] == {"shop": {}, "blog": {}}
    assert load({}).deploys.command == ("python", "-m", "d", "{project}", "{status}", "{numbers}")


def test_a_missing_program_is_only_a_warning(file: Path, usher) -> None:
    result = usher("init", "--yes", "--command", "no-such-program {server}")
    assert (result.code, result.err) == (0, "")
    said, _, done = result.out.partition("Wrote usher.toml")
    assert "Warning: [deploys] command: there is no program no-such-program" in said
    assert "Warning" not in done
    assert load({}).deploys.command == ("no-such-program", "{server}")


def test_a_missing_program_is_reported_before_the_file_is_written(file: Path) -> None:
    answers = ["", "", "", "", "", "", "no-such-program {server}"]
    code, said = init(typing=typed(*answers, ""))
    assert (code, file.exists()) == (1, False)
    assert re.search(r"there is no program no-such-program .*\n\nWrite usher.toml anyway\? \[y/N\]", said)
    assert init(typing=typed(*answers, "y"))[0] == 0
    assert load({}).deploys.command == ("no-such-program", "{server}")


def test_without_a_terminal_it_says_to_use_options(file: Path, usher, monkeypatch: pytest.MonkeyPatch) -> None:
    with Path(os.devnull).open() as nothing:
        monkeypatch.setattr("sys.stdin", nothing)
        result = usher("init")
    assert result.code == 1
    assert "there is no terminal to ask on; use options and --yes: see `usher init --help`" in result.err
    assert not file.exists()


def test_it_asks_before_overwriting_a_file(file: Path, usher) -> None:
    file.write_text("# mine\n")
    result = usher("init", "--yes")
    assert (result.code, result.out) == (1, "")
    assert "already exists" in result.err
    assert init(typing=typed("", "", "", "", "", "", "", "n"))[0] == 1
    assert file.read_text() == "# mine\n"
    assert init(typing=typed("", "", "", "", "", "", "", "y"))[0] == 0
    assert "[projects.abc]" in file.read_text()


def test_it_writes_the_file_that_usher_config_names(folder: Path, monkeypatch: pytest.MonkeyPatch, usher) -> None:
    monkeypatch.setenv("USHER_CONFIG", str(folder / "other.toml"))
    assert usher("init", "--yes").code == 0
    assert (folder / "other.toml").exists()
    monkeypatch.setenv("USHER_CONFIG", str(folder / "nowhere" / "usher.toml"))
    assert "nowhere/usher.toml: No such file" in usher("init", "--yes").err


def test_other_settings_are_comments_with_their_defaults() -> None:
    text, settings = NewSettings().text(), load({})
    assert '# heartbeat = "10s"' in text
    assert "# parallel = 4" in text
    assert NewSettings().settings().model_dump(exclude={"source", "projects", "statuses"}) == settings.model_dump(
        exclude={"source", "projects", "statuses"}
    )


def test_hostile_answers_cannot_add_settings() -> None:
    words = ['"]\n[broker]\nurl = "x', "\x7f\t\\", "Готово"]
    draft = NewSettings(jira={"beta": words}, command=["d", '"; rm -rf /', "{server}"])
    assert draft.settings().statuses["beta"].jira == tuple(words)
    assert draft.settings().deploys.command == ("d", '"; rm -rf /', "{server}")
