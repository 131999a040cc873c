"""`make` finds a working Python, builds the environment completely or not at all, and keeps existing files."""

import os
import re
import shutil
import signal
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

pytestmark = pytest.mark.programs

ROOT = Path(__file__).parents[2]
TOO_OLD = "exit 1"  # the answer of an older Python to the question "are you 3.11 or newer?"
BROKEN_SHIM = "exit 127"

# An interpreter that answers make's questions, copies itself into a new environment, and runs $PIP as its pip.
FAKE_PYTHON = """#!/bin/sh
case "$*" in
*version_info*) echo /usr/bin/python 3 13 ;;
*platform*) echo Python 3.13.0 ;;
*"-m venv"*) for folder; do :; done; mkdir -p "$folder/bin" && cp "$0" "$folder/bin/python" ;;
*"-m pip"*) echo "$*" >>pip.log; eval "$PIP" ;;
*flock*) exec python3 "$@" ;;
esac
"""


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A folder with the files that make needs, and nothing that make has built."""
    for name in ("make", "requirements", "shared/usher/example.toml"):
        source, target = ROOT / name, tmp_path / "clone" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copytree(source, target) if source.is_dir() else shutil.copy(source, target)
    for name in ("Makefile", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path / "clone")
    return tmp_path / "clone"


@pytest.fixture
def programs(tmp_path: Path) -> Callable[..., str]:
    """Creates programs with these names and shell lines. Returns a search path with little else."""

    def make(**lines: str) -> str:
        folder = tmp_path / "programs"
        folder.mkdir()
        for tool in ("sh", "env"):
            (folder / tool).symlink_to(shutil.which(tool) or tool)
        for name, line in lines.items():
            write_program(folder / name.replace("_", "."), f"#!/bin/sh\n{line}\n")
        return str(folder)

    return make


@pytest.fixture
def fake_python(tmp_path: Path) -> str:
    write_program(tmp_path / "fake-python", FAKE_PYTHON)
    return str(tmp_path / "fake-python")


def write_program(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o755)


def run(*command: str, cwd: Path = ROOT, **environment: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if name != "PYTHON"}
    return subprocess.run(command, cwd=cwd, env=kept | environment, capture_output=True, text=True, timeout=60)


def test_the_newest_working_python_is_used(programs: Callable[..., str]) -> None:
    path = programs(python3_14=BROKEN_SHIM, python3_13=TOO_OLD, python3_12="exit 0", python3="exit 0")
    assert run("sh", "make/python", PATH=path).stdout == "python3.12\n"


def test_plain_python3_is_used_when_there_is_no_versioned_name(programs: Callable[..., str]) -> None:
    assert run("sh", "make/python", PATH=programs(python3="exit 0")).stdout == "python3\n"


def test_a_python_named_in_the_environment_is_preferred(programs: Callable[..., str]) -> None:
    path = programs(python3_14="exit 0", mine="exit 0")
    assert run("sh", "make/python", PATH=path, PYTHON="mine").stdout == "mine\n"


def test_a_named_python_that_does_not_run_is_an_error_and_no_other_is_used(programs: Callable[..., str]) -> None:
    answer = run("sh", "make/python", PATH=programs(python3="exit 0"), PYTHON="python9")
    assert answer.returncode == 1
    assert "PYTHON=python9 does not run" in answer.stderr


def test_without_any_python_make_says_how_to_get_one(programs: Callable[..., str]) -> None:
    answer = run("sh", "make/python", PATH=programs(python3=TOO_OLD))
    assert answer.returncode == 1
    assert "sudo apt-get install python3 python3-venv" in answer.stderr
    assert "brew install python" in answer.stderr


def test_an_environment_is_built_once(clone: Path, fake_python: str) -> None:
    first = run("sh", "make/environment", "up", cwd=clone, PYTHON=fake_python, PIP=":")
    assert "Making .venv" in first.stdout
    installs = (clone / "pip.log").read_text()
    second = run("sh", "make/environment", "up", cwd=clone, PYTHON=fake_python, PIP=":")
    assert (second.returncode, second.stdout) == (0, "")
    assert (clone / "pip.log").read_text() == installs


def test_a_development_environment_also_serves_make_up(clone: Path, fake_python: str) -> None:
    run("sh", "make/environment", "develop", cwd=clone, PYTHON=fake_python, PIP=":")
    assert run("sh", "make/environment", "up", cwd=clone, PYTHON=fake_python, PIP=":").stdout == ""


def test_an_environment_is_rebuilt_when_the_lock_file_changes(clone: Path, fake_python: str) -> None:
    run("sh", "make/environment", "up", cwd=clone, PYTHON=fake_python, PIP=":")
    with (clone / "requirements/up.txt").open("a") as lock:
        lock.write("# changed\n")
    assert "Making .venv" in run("sh", "make/environment", "up", cwd=clone, PYTHON=fake_python, PIP=":").stdout


def test_only_locked_packages_with_hashes_are_installed(clone: Path, fake_python: str) -> None:
    run("sh", "make/environment", "up", cwd=clone, PYTHON=fake_python, PIP=":")
    packages, project = (clone / "pip.log").read_text().splitlines()
    assert "--no-deps --require-hashes --requirement requirements/up.txt" in packages
    assert "--no-deps --no-build-isolation --editable ." in project


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_an_interrupted_build_keeps_the_previous_environment(
    clone: Path, fake_python: str, number: signal.Signals
) -> None:
    run("sh", "make/environment", "up", cwd=clone, PYTHON=fake_python, PIP=":")
    (clone / ".venv/previous").touch()
    (clone / "requirements/up.txt").write_text("another==1\n")
    os.mkfifo(clone / "packages")
    environment = os.environ | {"PYTHON": fake_python, "PIP": "echo installing; cat packages"}
    command = ["sh", "make/environment", "up"]
    with subprocess.Popen(
        command,
        cwd=clone,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as building:
        assert building.stdout
        assert "installing\n" in building.stdout  # each line appears immediately
        with (clone / "packages").open("w"):  # blocks until the build reads it
            os.killpg(building.pid, number)
            building.wait(10)
    assert building.returncode != 0
    assert (clone / ".venv/previous").exists()

    again = run("sh", "make/environment", "up", cwd=clone, PYTHON=fake_python, PIP=":")
    assert again.returncode == 0
    assert not (clone / ".venv/previous").exists()
    assert not (clone / ".venv.new").exists()


def test_two_builds_at_the_same_moment_are_one(clone: Path, fake_python: str) -> None:
    pip = "echo installing; while [ ! -e go ]; do sleep 0.02; done"
    options = {"cwd": clone, "env": os.environ | {"PYTHON": fake_python, "PIP": pip}, "stdout": -1, "text": True}
    command = ["sh", "make/environment", "up"]
    with subprocess.Popen(command, **options) as first:
        assert "installing\n" in first.stdout
        with subprocess.Popen(command, **options) as second:
            line = second.stdout.readline()
            (clone / "go").touch()
            assert (first.wait(20), second.wait(20)) == (0, 0)
            assert (line, second.stdout.read()) == ("Waiting for another make, which builds .venv\n", "")
    assert len((clone / "pip.log").read_text().splitlines()) == 2
    assert (clone / ".venv/stamp").exists()


def test_a_failed_build_ends_make_and_leaves_no_environment(clone: Path, fake_python: str) -> None:
    answer = run("make", "up", cwd=clone, PYTHON=fake_python, PIP="echo no such hash >&2; exit 1")
    assert answer.returncode != 0
    assert "no such hash" in answer.stderr
    assert not (clone / ".venv").exists()


def test_make_env_writes_passwords_that_only_the_owner_can_read(clone: Path) -> None:
    run("make", "env", cwd=clone)
    assert stat.S_IMODE((clone / ".env").stat().st_mode) == 0o600
    written = dict(re.findall(r"^(\w+)=(.*)$", (clone / ".env").read_text(), re.MULTILINE))
    secrets = {written[name] for name in ("RABBITMQ_PASSWORD", "RABBITMQ_COOKIE", "POSTGRES_PASSWORD")}
    assert [len(secret) for secret in secrets] == [48, 48, 48]


def variables(clone: Path) -> dict[str, str]:
    return dict(re.findall(r"^(\w+)=(.*)$", (clone / ".env").read_text(), re.MULTILINE))


def test_make_env_writes_the_broker_s_password_where_only_the_owner_and_containers_can_read_it(clone: Path) -> None:
    run("make", "env", cwd=clone)
    file = clone / variables(clone)["RABBITMQ_PASSWORD_FILE"]
    assert file.read_text() == variables(clone)["RABBITMQ_PASSWORD"]
    assert [stat.S_IMODE(path.stat().st_mode) for path in (file.parent, file)] == [0o700, 0o444]


def test_make_env_keeps_an_existing_file(clone: Path) -> None:
    run("make", "env", cwd=clone)
    before = (clone / ".env").read_text()
    answer = run("make", "env", cwd=clone)
    assert (answer.returncode, answer.stdout) == (0, ".env already exists and is kept\n")
    assert (clone / ".env").read_text() == before


def test_make_env_adds_what_an_older_file_lacks(clone: Path) -> None:
    (clone / ".env").write_text("MINE=1\nRABBITMQ_PASSWORD=s3same")
    answer = run("make", "env", cwd=clone)
    added = {"RABBITMQ_COOKIE", "POSTGRES_PASSWORD", "RABBITMQ_PASSWORD_FILE"}
    assert set(re.findall(r"Added (\w+) to .env", answer.stdout)) == added
    written = variables(clone)
    assert {name: written[name] for name in written.keys() - added} == {"MINE": "1", "RABBITMQ_PASSWORD": "s3same"}
    assert (clone / written["RABBITMQ_PASSWORD_FILE"]).read_text() == "s3same"


def test_make_env_refers_to_an_existing_settings_file(clone: Path) -> None:
    (clone / "usher.toml").touch()
    answer = run("make", "env", cwd=clone)
    assert "USHER_TOML=./usher.toml\n" in (clone / ".env").read_text()
    assert "chmod" not in answer.stdout


def test_make_env_says_how_containers_can_read_a_private_settings_file(clone: Path) -> None:
    (clone / "usher.toml").touch(0o600)
    assert "chmod a+r usher.toml" in run("make", "env", cwd=clone).stdout


def test_make_without_a_target_lists_every_task() -> None:
    help_text = run("make").stdout
    for task in ("up", "demo", "check", "test", "test-all", "test-long", "lint", "lock", "env", "clean"):
        assert f"\n  {task} " in help_text


def test_no_broker_is_installed_if_the_settings_name_one(programs: Callable[..., str]) -> None:
    answer = run("sh", "make/broker", PATH=programs(), USHER_BROKER__URL="amqp://broker/")
    assert (answer.returncode, answer.stdout, answer.stderr) == (0, "", "")
