"""Every fault test has a safeguard without which it fails, and each safeguard is in the source.

`make guards` removes them one by one.
"""

import subprocess
import sys
from pathlib import Path

from faults.guards import GUARDS

ROOT = Path(__file__).parents[2]


def test_every_fault_test_has_a_safeguard_for_each_of_its_cases() -> None:
    folder = Path(__file__).parent
    collect = [sys.executable, "-m", "pytest", "--collect-only", "-q", f"--ignore={__file__}"]
    found = subprocess.run([*collect, str(folder)], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    cases = {line.removeprefix("tests/faults/") for line in found.splitlines() if "::" in line}
    assert len(cases) > 40
    tests = {test for guard in GUARDS for test in guard.tests}
    assert {case for case in cases if not {case, case.partition("[")[0]} & tests} == set()


def test_every_safeguard_occurs_once_in_its_file() -> None:
    edits = [edit for guard in GUARDS for edit in guard.edits]
    assert [edit for edit in edits if (ROOT / edit.file).read_text().count(edit.old) != 1] == []
