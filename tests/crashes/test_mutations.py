"""The simulator finds bugs: each of these is planted in a process of its own, and found within so many seeds."""

import multiprocessing

import pytest

from crashes.planted import MUTATIONS
from crashes.seeds import first_violation

SEEDS = 1000
"""Most are found within ten; what takes three rare things at once, in one of 250."""


@pytest.mark.slow
@pytest.mark.programs
@pytest.mark.parametrize("name", sorted(MUTATIONS))
def test_a_planted_bug_is_found(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONHASHSEED", "0")  # the order of sets is part of a run
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        found = pool.apply_async(first_violation, (name, SEEDS)).get(900)
    assert found, f"{MUTATIONS[name].breaks}: not found in {SEEDS} seeds"
