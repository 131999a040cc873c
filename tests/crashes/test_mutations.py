"""The simulator finds bugs: each of these is planted in a process of its own, and found.

The test begins with the seed that `simulator/mutations/seeds.json` records. If it takes
minutes, the record is outdated, and `make planted` writes it anew.
"""

import multiprocessing
import os

import pytest

from crashes.planted import MUTATIONS, recorded
from crashes.seeds import first_violation

SEEDS = 1000
"""Most are found within ten; what takes three rare things at once, in one of 250."""

NICE = 10


@pytest.mark.slow
@pytest.mark.programs
@pytest.mark.parametrize("name", sorted(MUTATIONS))
def test_a_planted_bug_is_found(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONHASHSEED", "0")  # the order of sets is part of a run
    # virtual time does not mind waiting; what runs beside it may measure real time
    with multiprocessing.get_context("spawn").Pool(1, initializer=os.nice, initargs=(NICE,)) as pool:
        found = pool.apply_async(first_violation, (name, SEEDS)).get(900)
    assert found, f"{MUTATIONS[name].breaks}: not found in {SEEDS} seeds"


def test_a_seed_is_recorded_for_every_planted_bug_and_for_no_other() -> None:
    assert recorded().keys() == MUTATIONS.keys(), "make planted records them"
