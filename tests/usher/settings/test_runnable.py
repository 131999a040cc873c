"""A command that Usher may not be able to kill is named before it runs."""

import os
from pathlib import Path

import pytest

from usher.settings.runnable import unkillable
from usher.settings.sections import DeploysSettings


@pytest.fixture
def program(tmp_path: Path) -> Path:
    program = tmp_path / "like-sudo"
    program.touch(mode=0o755)
    program.chmod(0o4755)
    return program


def why(*command: str, path: str = "") -> str | None:
    return unkillable(DeploysSettings(command=command), path)


def test_a_program_that_becomes_another_user_cannot_be_killed(program: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: program.stat().st_uid + 1)
    says = "command: like-sudo becomes another user, so Usher cannot kill it: no time limit holds, and no stop"
    assert why("like-sudo", "{server}", "{issues}", path=str(program.parent)) == says
    assert why(str(program), "{issues}") is not None


def test_root_kills_everything_and_everybody_kills_their_own(program: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert why(str(program), "{issues}") is None
    program.chmod(0o755)
    monkeypatch.setattr(os, "geteuid", lambda: program.stat().st_uid + 1)
    assert why(str(program), "{issues}") is None
    assert why("no-such-program", "{issues}") is None
    assert unkillable(DeploysSettings(), "") is None
