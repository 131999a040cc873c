"""The wheel has every package, and everything that is installed is locked."""

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
PACKAGES = ["shared/usher", "services/trackers", "services/deploys", "services/successes"]
LOCKS = sorted((ROOT / "requirements").glob("*.txt"))


def test_the_wheel_contains_every_package() -> None:
    """Hatch ignores a configured folder that is missing, so this checks both directions."""
    configured = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    assert configured == PACKAGES
    found = [path.parent for source in ("shared", "services") for path in (ROOT / source).glob("*/__init__.py")]
    assert {path.relative_to(ROOT).as_posix() for path in found} == set(configured)


@pytest.mark.parametrize("package", PACKAGES)
def test_every_package_is_marked_as_typed(package: str) -> None:
    assert (ROOT / package / "py.typed").exists()


def test_there_is_an_extra_for_every_purpose() -> None:
    extras = PROJECT["project"]["optional-dependencies"]
    assert set(extras) == {"web", "trackers", "deploys", "successes", "tests", "lints", "devops", "develop"}


def test_tests_are_not_packages() -> None:
    assert list((ROOT / "tests").rglob("__init__.py")) == []


def test_there_is_a_lock_for_every_kind_of_installation() -> None:
    assert {lock.stem for lock in LOCKS} == {"build", "trackers", "deploys", "successes", "up", "develop"}


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.stem)
def test_a_lock_has_hashes_and_no_addresses(lock: Path) -> None:
    text = lock.read_text("utf-8")
    assert "://" not in text
    assert not re.search(r"^-", text, re.MULTILINE), "an option of the installer"
    packages = re.findall(r"^[a-z0-9].*?(?=^\S|\Z)", text, re.MULTILINE | re.DOTALL)
    assert packages
    for package in packages:
        assert re.match(r"[a-z0-9-]+==", package)
        assert "--hash=sha256:" in package


def test_production_uses_the_tested_versions() -> None:
    """Every lock has the same versions as `develop`."""
    pins = {lock.stem: set(re.findall(r"^[a-z0-9-]+==\S+", lock.read_text("utf-8"), re.MULTILINE)) for lock in LOCKS}
    assert all(some <= pins["develop"] for some in pins.values())
