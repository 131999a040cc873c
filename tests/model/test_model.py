"""The model of the turn protocol: spin finds no violation in it, but finds one as soon as any rule is removed."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.programs]


def load() -> ModuleType:
    path = Path(__file__).parents[2] / "model" / "check.py"
    spec = importlib.util.spec_from_file_location("model_check", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


model = load()
COMPLETE = [pytest.param(one, marks=pytest.mark.long if one.long else ()) for one in model.CHECKS if not one.without]
REMOVED = [one for one in model.CHECKS if one.without]


def test_spin_and_a_compiler_are_installed() -> None:
    assert model.missing() == [], "install them: make model"


@pytest.mark.parametrize("one", COMPLETE, ids=lambda one: one.name.replace(" ", "-"))
def test_the_protocol_holds(one) -> None:  # type: ignore[no-untyped-def]
    assert model.check(one).what == "holds"


@pytest.mark.parametrize("one", REMOVED, ids=lambda one: one.name.replace(" ", "-"))
def test_removing_a_rule_causes_a_violation(one) -> None:  # type: ignore[no-untyped-def]
    found = model.check(one)
    assert found.violation, found
