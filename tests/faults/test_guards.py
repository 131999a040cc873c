"""Every test of a fault has a guard without which it fails, and the guards are where they are said to be.

`make guards` takes them away, one after the other.
"""

import ast
from pathlib import Path

from faults.guards import GUARDS

ROOT = Path(__file__).parents[2]


def test_every_test_of_a_fault_has_a_guard() -> None:
    tests = {
        f"{path.name}::{node.name}"
        for path in Path(__file__).parent.glob("test_*.py")
        if path.name != Path(__file__).name
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_")
    }
    assert {test.partition("[")[0] for guard in GUARDS for test in guard.tests} == tests


def test_every_guard_stands_where_it_is_said_to_be() -> None:
    edits = [edit for guard in GUARDS for edit in guard.edits]
    assert [edit for edit in edits if (ROOT / edit.file).read_text().count(edit.old) != 1] == []
