"""Settings: read once and checked completely. Errors say what to write instead."""

import re
import tomllib
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from usher.core import errors
from usher.settings import Settings, load
from usher.settings.load import example
from usher.settings.units import duration


@pytest.fixture(autouse=True)
def empty_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keeps the tests from reading the `usher.toml` of the checkout."""
    monkeypatch.chdir(tmp_path)


def read(tmp_path: Path, text: str, **variables: str) -> Settings:
    path = tmp_path / "mine.toml"
    path.write_text(text)
    return load({"USHER_CONFIG": str(path), **variables})


def test_without_a_file_the_built_in_example_rehearses() -> None:
    settings = load({})
    assert settings.deploys.rehearses
    assert settings.source == "the built-in example"
    assert [server.name for server in settings.catalogue] == [
        "beta.abc.wwts.com", "beta.def.wwts.com", "stage.abc.wwts.com", "test.abc.wwts.com", "test.def.wwts.com",
    ]  # fmt: skip


def test_the_example_has_every_setting_with_its_default() -> None:
    shown = tomllib.loads(
        re.sub(r"^# (secret|url|password_file|command|delays|\[retries)", r"\1", example(), flags=re.MULTILINE)
    )
    bare = Settings(projects={"abc": {}})
    for section in set(Settings.model_fields) - {"source", "projects", "statuses"}:
        assert set(shown[section]) == set(type(getattr(bare, section)).model_fields), section
    defaults = Settings.model_validate({k: v for k, v in tomllib.loads(example()).items() if k not in ("statuses",)})
    assert defaults.model_dump(exclude={"projects"}) == bare.model_dump(exclude={"projects"})


def test_a_file_in_the_current_directory_is_read(tmp_path: Path) -> None:
    (tmp_path / "usher.toml").write_text("[projects.xyz]\n")
    assert {server.project for server in load({}).catalogue} == {"xyz"}


def test_variables_override_the_file(tmp_path: Path) -> None:
    settings = read(
        tmp_path, '[projects.abc]\n[deploys]\nparallel = 2\ntimeout = "1m"\n',
        USHER_DEPLOYS__PARALLEL="3", USHER_DEPLOYS__COMMAND='["deploy", "{server}"]', USHER_WINDOW__QUIET="0.5",
        USHER_PROJECTS__XYZ__STATUSES='["beta"]', USHER_BROKER__URL="amqp://u:p@host/v", USHER_SOMETHING="else",
    )  # fmt: skip
    assert settings.deploys.parallel == 3
    assert settings.deploys.timeout == timedelta(minutes=1)
    assert settings.deploys.command == ("deploy", "{server}")
    assert settings.catalogue.find("XYZ", "beta").name == "beta.xyz.wwts.com"
    assert [url.get_secret_value() for url in settings.broker.url] == ["amqp://u:p@host/v"]


@pytest.mark.parametrize(
    ("text", "variables", "says"),
    [
        ("", {}, "mine.toml: [projects]: no project is named; add a section like [projects.abc]"),
        ("[projects.abc", {}, "mine.toml is not TOML: "),
        ("[projects.abc]\n[deploys]\ncomand = []", {}, "mine.toml: [deploys] comand: unknown; did you mean command?"),
        ("[projects.abc]\n[deploys]\nmost = 1", {}, "mine.toml: [deploys] most: unknown; did you mean max_issues?"),
        ("[projects.abc]\n[deploy]", {}, "mine.toml: [deploy]: unknown; did you mean deploys?"),
        ("[projects.abc]\nstatus = []", {}, "mine.toml: [projects.abc] status: unknown; did you mean statuses?"),
        ("[projects.abc]", {"USHER_DEPLOYS__COMAND": "[]"}, "__COMAND: unknown; did you mean USHER_DEPLOYS__COMMAND?"),
        ("[projects.abc]", {"USHER_DEPLOYS__COMMAND": "[1"}, "USHER_DEPLOYS__COMMAND is not a JSON list: "),
        ("[projects.abc]", {"USHER_DEPLOYS__COMMAND": "deploy"}, '__COMMAND: should be a list, like ["a", "b"]'),
        ("[projects.abc]", {"USHER_DEPLOYS__COMMAND": '["x", "{sever}"]'}, "unknown placeholder {sever}"),
        ("[projects.abc]", {"USHER_DEPLOYS__TIMEOUT": "40"}, 'a duration is a number and a unit: "10s"'),
        ("[projects.abc]", {"USHER_BROKER__URL": "http://x"}, 'a broker\'s address looks like "amqp://'),
        ("[projects.abc]", {"USHER_BROKER__HEARTBEAT": "1500ms"}, "whole number of seconds"),
        ("[projects.abc]", {"USHER_JIRA__SECRET": ""}, "must not be empty"),
        ("[projects.abc]\nstatuses = ['live']", {}, "unknown status live; add [statuses.live]"),
        ("[projects.abc]\n[projects.def]\n[servers]\nname = '{status}'", {}, 'stage.def are both "stage"'),
        ("[projects.abc]\n[servers]\nname = '{stauts}.x'", {}, "{stauts} is unknown in [servers] name; did you mean {"),
        ("[projects.abc]\n[servers]\nname = '{}.x'", {}, "{} is unknown in [servers] name; known: {status}, {project}"),
        ("[projects.abc]\n[servers]\nname = '{status}.{project}; rm'", {}, "is not a valid server name"),
        ("[projects.abc]\n[statuses]\nbeta.jira = ['QA']\ntest.jira = ['qa']", {}, '"qa" means both test and beta'),
    ],
)  # fmt: skip
def test_an_error_says_what_is_wrong(tmp_path: Path, text: str, variables: dict[str, str], says: str) -> None:
    with pytest.raises(errors.SettingsError) as raised:
        read(tmp_path, text, **variables)
    assert says in str(raised.value)


def test_a_missing_file_is_named() -> None:
    with pytest.raises(errors.SettingsError, match="nowhere.toml does not exist; `usher init` writes one"):
        load({"USHER_CONFIG": "nowhere.toml"})


def test_secrets_are_not_in_the_repr() -> None:
    settings = load({"USHER_BROKER__URL": "amqp://u:hunter2@host/", "USHER_JIRA__SECRET": "hunter2"})
    assert "hunter2" not in repr(settings)


def test_jira_s_names_match_completely_and_ignore_case() -> None:
    catalogue = load({"USHER_STATUSES__BETA__JIRA": '["Ready for Beta", "10003"]'}).catalogue
    assert catalogue.status("  ready FOR beta ") == "beta"
    assert catalogue.status(None, "10003") == "beta"
    assert catalogue.status("beta") is None
    assert catalogue.status("Not ready for beta") is None
    assert catalogue.status("TEST") == "test"


def test_the_window_is_a_fraction_of_the_typical_deploy_time_and_never_below_the_floor() -> None:
    window = load({}).window.window()
    assert (window.quiet, window.cap) == (120_000, 496_800)
    window = load({"USHER_WINDOW__QUIET": "2s", "USHER_WINDOW__CAP": "1m", "USHER_WINDOW__FLOOR": "7s"}).window.window()
    assert (window.quiet, window.cap) == (7_000, 60_000)


@given(st.integers(0, 23), st.integers(0, 59), st.integers(0, 59))
def test_durations_add_up(hours: int, minutes: int, seconds: int) -> None:
    assert duration(f"{hours}h{minutes}m {seconds}s") == timedelta(hours=hours, minutes=minutes, seconds=seconds)


@given(st.text())
def test_any_other_text_is_refused_as_a_duration(text: str) -> None:
    try:
        assert duration(text) >= timedelta(0)
    except ValueError as error:
        assert "duration" in str(error)


def test_retry_rules_of_a_server_override_those_of_its_status_and_the_general_ones(tmp_path: Path) -> None:
    settings = read(
        tmp_path,
        """
        [projects.abc]
        [retries]
        delays = ["1s"]
        [retries.of.beta]
        delays = ["2s", "3s"]
        [retries.of."beta.abc.wwts.com"]
        never = [1]
        """,
    )
    ladder = {server.status: settings.retries.ladder(server) for server in settings.catalogue}
    assert (ladder["test"].delays, set(ladder["test"].never)) == ((1000,), {64, 65})
    assert (ladder["beta"].delays, set(ladder["beta"].never)) == ((2000, 3000), {1})
    assert settings.retries.every_delay == (1000, 2000, 3000)


def test_retry_rules_for_an_unknown_name_are_refused(tmp_path: Path) -> None:
    with pytest.raises(errors.SettingsError, match=r"\[retries.of\] gamma is neither a status nor a server"):
        read(tmp_path, "[projects.abc]\n[retries.of.gamma]\ndelays = []")


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("sqlite:///folder/usher.db", "folder/usher.db"),
        ("postgresql://ann:s3same@db.example.org:5432/usher?sslmode=require", "postgresql://db.example.org:5432/usher"),
        ("postgresql://db/usher", "postgresql://db/usher"),
    ],
)
def test_the_ledger_s_address_is_shown_without_its_password(address, shown):
    settings = load({"USHER_SUCCESSES__LEDGER": address})
    assert settings.successes.ledger_shown == shown
    assert "s3same" not in repr(settings)


@pytest.mark.parametrize(
    "address", ["usher.db", "sqlite:///", "postgresql://ann:s3same@db", "mysql://ann:s3same@db/usher"]
)
def test_an_invalid_ledger_address_is_refused_with_a_readable_error(address):
    with pytest.raises(
        errors.SettingsError, match='a ledger\'s address looks like "sqlite:///usher.db" or "postgresql'
    ) as bad:
        load({"USHER_SUCCESSES__LEDGER": address})
    assert "s3same" not in str(bad.value)


@pytest.mark.parametrize("keep", ["89d", "11000d"])
def test_the_ledger_keeps_messages_at_least_as_long_as_the_journal(keep):
    assert load({}).successes.keep.days == 400
    with pytest.raises(errors.SettingsError, match="USHER_SUCCESSES__KEEP"):
        load({"USHER_SUCCESSES__KEEP": keep})


def test_addresses_without_a_password_get_it_from_a_file(tmp_path):
    (tmp_path / "password").write_text("s3s/ame\n")
    addresses = '["amqp://ann@one/", "amqp://ann:own@two/", "amqp://three/"]'
    settings = load({"USHER_BROKER__URL": addresses, "USHER_BROKER__PASSWORD_FILE": str(tmp_path / "password")})
    assert [url.get_secret_value() for url in settings.broker.url] == [
        "amqp://ann:s3s%2Fame@one/", "amqp://ann:own@two/", "amqp://three/"
    ]  # fmt: skip
    assert "s3s" not in repr(settings)


@pytest.mark.parametrize(
    ("content", "says"),
    [(None, "cannot read .*password .No such file"), (b"\n", "is empty; write"), (b"\xff", "it is not text")],
)
def test_a_password_file_that_cannot_be_used_is_refused_with_a_readable_error(tmp_path, content, says):
    if content is not None:
        (tmp_path / "password").write_bytes(content)
    with pytest.raises(errors.SettingsError, match=f"USHER_BROKER__PASSWORD_FILE.*{says}"):
        load({"USHER_BROKER__URL": "amqp://ann@one/", "USHER_BROKER__PASSWORD_FILE": str(tmp_path / "password")})
