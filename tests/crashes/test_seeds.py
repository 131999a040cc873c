"""The simulator: runs the real services under crash schedules.

A few seeds run in `make test`, and more in CI. `make test-long` draws new ones each time.
"""

import gc
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import crashes.run
from crashes.checker import check
from crashes.drawing import FAULTS, plan_of
from crashes.ledgers import Disk
from crashes.plan import STUCK, TROUBLE
from crashes.seeds import judge
from crashes.shrink import shrink
from crashes.world import run

pytestmark = [
    # these need no broker, but too much processor time for the quick tests
    pytest.mark.programs,
    # killed processes of a run cause these warnings
    pytest.mark.filterwarnings("ignore:coroutine .* was never awaited:RuntimeWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture(scope="module")
def disk() -> Iterator[Disk]:
    one = Disk()
    yield one
    one.close()
    gc.collect()


def simulate(*arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run the simulator from the command line, with a fixed order of sets, because that is part of a run."""
    # virtual time can wait; tests that run in parallel may measure real time
    command = ["nice", "-n", "10", sys.executable, str(Path(crashes.run.__file__)), *arguments]
    environment = {**os.environ, "PYTHONHASHSEED": "0"}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=3600)


@pytest.mark.parametrize("seeds", [8, pytest.param(1500, marks=pytest.mark.slow)])
def test_all_guarantees_hold_in_the_first_seeds(seeds: int) -> None:
    assert_all_hold(simulate("--seeds", str(seeds)))


@pytest.mark.slow
@pytest.mark.long
def test_all_guarantees_hold_in_new_seeds(capsys: pytest.CaptureFixture[str]) -> None:
    done = simulate("--seeds", "10000", "--new")
    with capsys.disabled():
        print(f"\n{done.stdout}")
    assert_all_hold(done)


def assert_all_hold(done: "subprocess.CompletedProcess[str]") -> None:
    """Assert that no seed failed. The output names those that did, with the command that replays them."""
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.endswith("all hold\n")


@pytest.mark.slow
def test_every_plan_has_at_least_ten_faults_or_tells_a_story() -> None:
    plans = [plan_of(seed) for seed in range(1, 10_001)]
    assert all(len(plan.faults) >= FAULTS >= 10 or plan.story for plan in plans)
    assert {plan.story for plan in plans} == {"", STUCK, "a late result", TROUBLE}


@pytest.mark.parametrize("seed", range(1, 4))
def test_without_faults_windows_close_in_time_and_nothing_is_deployed_twice(disk: Disk, seed: int) -> None:
    assert judge(plan_of(seed, calm=True), disk).violations == ()


def test_the_same_seed_gives_the_same_history(disk: Disk) -> None:
    first, again = (judge(plan_of(11), disk) for _ in range(2))
    assert first.steps == again.steps
    assert first.digest == again.digest
    assert judge(plan_of(12), disk).digest != first.digest


def test_the_checker_detects_two_commands_at_the_same_time(disk: Disk) -> None:
    evidence = run(plan_of(1, calm=True), disk).evidence
    assert check(evidence) == []
    evidence.commands[1].server = evidence.commands[0].server
    evidence.commands[1].started_at = evidence.commands[0].until - 0.1
    assert any(violation.guarantee == "3" for violation in check(evidence))


def test_a_plan_shrinks_to_the_smallest_that_still_fails() -> None:
    plan = plan_of(3)
    kept = plan.faults[4]
    small = shrink(plan, lambda less: kept in less.faults and len(less.moves) > 2, 500)
    assert small.faults == (kept,)
    assert len(small.moves) == 3
    assert small.orders == ()
    assert small.commands == ()
