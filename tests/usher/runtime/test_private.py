"""Private files and folders: new ones are their owner's, open ones are closed, and shared ones stay shared."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from usher.runtime.private import close_to_others, private_file, private_folder, write_private


@pytest.fixture(autouse=True)
def usual_umask() -> Iterator[None]:
    before = os.umask(0o022)
    yield
    os.umask(before)


def mode(path: Path) -> str:
    return f"{stat.S_IMODE(path.stat().st_mode):o}"


def test_a_folder_and_its_missing_parents_are_created_for_their_owner(tmp_path: Path) -> None:
    (tmp_path / "shared").mkdir(0o755)
    private_folder(tmp_path / "shared/logs/beta")
    private_folder(tmp_path / "shared/logs/beta")
    assert [mode(tmp_path / "shared" / name) for name in (".", "logs", "logs/beta")] == ["755", "700", "700"]


def test_a_folder_of_an_earlier_version_is_closed_to_others(tmp_path: Path) -> None:
    (tmp_path / ".usher/deploys").mkdir(parents=True)
    assert mode(tmp_path / ".usher") == "755"
    private_folder(tmp_path / ".usher/deploys/beta")
    assert mode(tmp_path / ".usher") == "700"


@pytest.mark.parametrize(("before", "after"), [(0o644, "600"), (0o666, "600"), (0o640, "640"), (0o660, "660")])
def test_a_file_is_closed_to_everybody_but_stays_shared_with_a_group(tmp_path: Path, before: int, after: str) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "file").chmod(before)
    close_to_others(tmp_path / "file")
    close_to_others(tmp_path / "missing")
    assert mode(tmp_path / "file") == after


def test_a_new_file_is_private_and_an_existing_one_keeps_its_mode_and_content(tmp_path: Path) -> None:
    private_file(tmp_path / "new")
    (tmp_path / "old").write_text("kept")
    private_file(tmp_path / "old")
    assert (mode(tmp_path / "new"), mode(tmp_path / "old")) == ("600", "644")
    assert (tmp_path / "old").read_text() == "kept"


@pytest.mark.parametrize("before", [0o400, 0o644])
def test_what_is_written_privately_is_private_whatever_the_file_was_before(tmp_path: Path, before: int) -> None:
    (tmp_path / "secret").touch()
    (tmp_path / "secret").chmod(before)
    write_private(tmp_path / "secret", "s3same")
    assert (mode(tmp_path / "secret"), (tmp_path / "secret").read_text()) == ("600", "s3same")
