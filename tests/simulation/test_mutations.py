"""The simulator finds bugs: each of these is planted in a process of its own, and found within so many seeds."""

import multiprocessing

import pytest

from simulator.ledgers import Disk
from simulator.mutations import MUTATIONS
from simulator.plan import Plan
from simulator.seeds import judge

SEEDS = 150


def _found(name: str) -> str | None:
    mutation, disk = MUTATIONS[name], Disk()
    try:
        mutation.plant()
        for seed in range(1, SEEDS + 1):
            if violations := judge(Plan.of(seed, calm=mutation.calm), disk).violations:
                return f"seed {seed}: {violations[0][:300]}"
        return None
    finally:
        disk.close()


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(MUTATIONS))
def test_a_planted_bug_is_found(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONHASHSEED", "0")  # the order of sets is part of a run
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.apply(_found, (name,)), f"{MUTATIONS[name].breaks}: not found in {SEEDS} seeds"
