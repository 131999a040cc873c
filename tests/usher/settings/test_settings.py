"""Settings: read once and checked completely. Errors say what to write instead."""

import json
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
        ("[projects.abc]", {"USHER_DEPLOY__PARALLEL": "2"}, "Y__PARALLEL: unknown; did you mean USHER_DEPLOYS__PARA"),
        ("[projects.abc]", {"USHER_DEPLOY__PARALEL": "2"}, "Y__PARALEL: unknown; did you mean USHER_DEPLOYS__PARA"),
        ("[projects.abc]", {"USHER_DEPLOYS__MOST": "1"}, "__MOST: unknown; did you mean USHER_DEPLOYS__MAX_ISSUES?"),
        ("[projects.abc]", {"USHER_JIRA__SECRET__X": "y"}, "SECRET__X: unknown; did you mean USHER_JIRA__SECRET?"),
        ("[projects.abc]", {"USHER_PROJECTS__9X__STATUSES": "[]"}, "USHER_PROJECTS__9X__STATUSES: does not match "),
        ("[projects.9x]", {"USHER_PROJECTS__9X__STATUSES": "[]"}, "mine.toml: [projects] 9x: does not match "),
        ("[projects.abc]", {"USHER_PROJECTS": "abc", "USHER_JIRA__": ""}, "USHER_JIRA__: unknown"),
        ("[projects.abc]", {"USHER_RETRIES__OF__GAMMA__NEVER": "[]"}, "mine.toml and the environment: [retries.of] g"),
        ("[projects.abc]", {"USHER_DEPLOYS__COMMAND": "[1"}, "USHER_DEPLOYS__COMMAND is not a JSON list: "),
        ("[projects.abc]", {"USHER_DEPLOYS__COMMAND": "deploy"}, '__COMMAND: should be a list, like ["a", "b"]'),
        ("[projects.abc]", {"USHER_DEPLOYS__COMMAND": '["x", "{sever}"]'}, "unknown placeholder {sever}"),
        ("[projects.abc]", {"USHER_DEPLOYS__TIMEOUT": "40"}, 'a duration is a number and a unit: "10s"'),
        ("[projects.abc]", {"USHER_BROKER__URL": "http://x"}, 'a broker\'s address looks like "amqp://'),
        ("[projects.abc]", {"USHER_BROKER__HEARTBEAT": "1500ms"}, "whole number of seconds"),
        ("[projects.abc]", {"USHER_JIRA__SECRET": ""}, "must not be empty"),
        ("[projects.abc]", {"USHER_WEB__URLS": "usher.example.com"}, 'URL of Usher looks like "https://usher.'),
        ("[projects.abc]", {"USHER_WEB__URLS": "https://x/usher"}, "without a path"),
        ("[projects.abc]", {"USHER_WEB__URLS": "https://x:0x50"}, "without a path"),
        ("[projects.abc]", {"USHER_WEB__URLS": "https://jane@x"}, "without a path"),
        ("[projects.abc]", {"USHER_WEB__PROXIES": "*"}, 'named by its address or network, like "10.0.0.7"'),
        ("[projects.abc]", {"USHER_WEB__PROXIES": "10.0.0.7/24"}, 'named by its address or network, like "10.0.0.7"'),
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


class TestVariablesAreReadAsTheirSettingSays:
    """The type of a setting decides how its variable is read, not how its value begins."""

    @pytest.mark.parametrize("secret", ["[x9!k", '["a"]', "[]", "{}", "007", "true", '"'])
    def test_a_secret_may_look_like_anything(self, secret: str) -> None:
        found = load({"USHER_JIRA__SECRET": secret}).jira.secret
        assert found is not None
        assert found.get_secret_value() == secret

    def test_and_so_may_a_path_and_a_pattern(self) -> None:
        settings = load({"USHER_DEPLOYS__CWD": "[build]", "USHER_DEPLOYS__LOGS": '["logs"]'})
        assert (settings.deploys.cwd, settings.deploys.logs) == ("[build]", '["logs"]')

    def test_a_list_is_json_wherever_it_is(self) -> None:
        variables = {
            "USHER_BROKER__URL": ' ["amqp://one/", "amqp://two/"]',
            "USHER_RETRIES__NEVER": "[1, 2]",
            "USHER_RETRIES__OF__BETA__DELAYS": '["1m"]',
            "USHER_STATUSES__LIVE__JIRA": '["[Done]"]',
        }
        settings = load(variables)
        assert [url.get_secret_value() for url in settings.broker.url] == ["amqp://one/", "amqp://two/"]
        assert (settings.retries.never, settings.retries.of["beta"].delays) == ((1, 2), (timedelta(minutes=1),))
        assert settings.catalogue.status("[done]") == "live"


class TestFilesFromEditorsOfOtherSystems:
    def test_a_byte_order_mark_is_skipped(self, tmp_path: Path) -> None:
        assert read(tmp_path, "\ufeff[projects.xyz]\n").catalogue.find("XYZ", "beta")

    def test_also_in_a_variable_that_was_filled_from_a_file(self) -> None:
        secret = load({"USHER_JIRA__SECRET": "\ufeffhunter2"}).jira.secret
        assert secret is not None
        assert secret.get_secret_value() == "hunter2"

    @pytest.mark.parametrize("encoding", ["utf-16", "latin-1"])
    def test_another_encoding_is_named_with_what_to_do(self, tmp_path: Path, encoding: str) -> None:
        path = tmp_path / "mine.toml"
        path.write_text('[projects.abc]\n[statuses.beta]\njira = ["Prêt"]\n', encoding)
        with pytest.raises(errors.SettingsError, match=r"mine.toml is not UTF-8 \(.*\); save it as UTF-8"):
            load({"USHER_CONFIG": str(path)})

    def test_windows_line_ends_are_line_ends(self, tmp_path: Path) -> None:
        path = tmp_path / "mine.toml"
        path.write_bytes(b'[projects.abc]\r\nstatuses = ["beta"]\r\n')
        assert len(load({"USHER_CONFIG": str(path)}).catalogue) == 1


def test_a_missing_file_is_named() -> None:
    with pytest.raises(errors.SettingsError, match="nowhere.toml does not exist; `usher init` writes one"):
        load({"USHER_CONFIG": "nowhere.toml"})


def test_urls_are_written_as_browsers_write_them() -> None:
    given = ["https://Usher.example.com:443/", "http://[::1]:80", "http://deploy.example.com:8080 "]
    assert load({"USHER_WEB__URLS": json.dumps(given)}).web.urls == (
        "https://usher.example.com", "http://[::1]", "http://deploy.example.com:8080",
    )  # fmt: skip


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
    assert settings.retries.every_delay == (1000, 2000, 3000, 60_000)


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
