"""The simulator finds bugs: each planted bug must be found, in a separate process.

The test begins with the seed that `mutations/seeds.json` records. If that takes minutes, the record is outdated:
run `make planted`.
"""

import multiprocessing
import os

import pytest

from crashes.planted import MUTATIONS, recorded
from crashes.seeds import first_violation

SEEDS = 1000
"""Most bugs are found within ten seeds. A bug that needs three rare events at once is found in one of 250."""

NICE = 10


@pytest.mark.slow
@pytest.mark.programs
@pytest.mark.parametrize("name", sorted(MUTATIONS))
def test_a_planted_bug_is_found(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONHASHSEED", "0")  # the order of sets is part of a run
    # virtual time can wait; tests that run in parallel may measure real time
    with multiprocessing.get_context("spawn").Pool(1, initializer=os.nice, initargs=(NICE,)) as pool:
        found = pool.apply_async(first_violation, (name, SEEDS)).get(900)
    assert found, f"{MUTATIONS[name].breaks}: not found in {SEEDS} seeds"


def test_a_seed_is_recorded_for_each_planted_bug_and_for_nothing_else() -> None:
    assert recorded().keys() == MUTATIONS.keys(), "run make planted to record them"
