"""The supervisor process of a child: the program starts with default signals, and its exit code is passed on."""

import subprocess
import sys
from pathlib import Path

import pytest

from odd_signals import ignore_and_block_everything, ignored_and_blocked
from usher.local.children import LEASH

pytestmark = pytest.mark.programs


def leashed(*argv: str) -> subprocess.CompletedProcess[str]:
    """Run a program under the supervisor, which was started with every signal ignored and blocked."""
    with subprocess.Popen(
        [sys.executable, "-I", "-S", str(LEASH), "1", *argv],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=ignore_and_block_everything,
    ) as process:
        assert process.stdout is not None
        output = process.stdout.read()
        return subprocess.CompletedProcess(argv, process.wait(10), output)


def test_a_program_starts_with_default_signals_however_usher_was_started() -> None:
    assert ignored_and_blocked(leashed("cat", "/proc/self/status").stdout) == (set(), set())


def test_the_exit_code_of_a_program_is_known_however_usher_was_started(tmp_path: Path) -> None:
    assert leashed("sh", "-c", "exit 7").returncode == 7
