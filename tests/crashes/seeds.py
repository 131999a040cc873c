"""Runs many seeds on all cores."""

import multiprocessing
import traceback
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from crashes.checker import check
from crashes.drawing import plan_of
from crashes.ledgers import Disk
from crashes.plan import Plan
from crashes.planted import MUTATIONS, recorded
from crashes.world import BUDGET, run

CHUNK = 25
"""The number of seeds that a worker gets at a time."""

PLANTED_BUDGET = 200_000
"""The maximum number of steps with a planted bug: ten times that of an ordinary run. Some bugs make it spin."""

CHUNKS_PER_WORKER = 4
"""How many chunks a worker runs before it is replaced, which frees what its runs have left behind."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """The result of a seed. `about` is the history around the first violation."""

    seed: int
    steps: int
    seconds: float
    commands: int
    violations: tuple[str, ...]
    digest: str
    about: str = ""


def judge(plan: Plan, disk: Disk, budget: int = BUDGET) -> Verdict:
    """Run a plan, and check what happened."""
    try:
        outcome = run(plan, disk, budget)
    except Exception:
        return Verdict(plan.seed, 0, 0.0, 0, (f"the simulator failed: {traceback.format_exc()}",), "")
    violations = check(outcome.evidence)
    about = outcome.evidence.history.around(violations[0].at) if violations else ""
    commands, digest = len(outcome.evidence.commands), outcome.evidence.history.digest()
    return Verdict(plan.seed, outcome.steps, outcome.seconds, commands, tuple(map(str, violations)), digest, about)


def drawn(seed: int, mutation: str = "") -> tuple[Plan, int]:
    """The seed's plan, and its maximum number of steps. With a planted bug, the plan may be a calm one."""
    if mutation:
        return plan_of(seed, calm=MUTATIONS[mutation].calm), PLANTED_BUDGET
    return plan_of(seed), BUDGET


def judge_seed(seed: int, disk: Disk, mutation: str = "") -> Verdict:
    """Run the seed's plan, with that bug planted if there is one."""
    plan, budget = drawn(seed, mutation)
    return judge(plan, disk, budget)


def run_seeds(seeds: Iterable[int], workers: int, mutation: str = "") -> Iterator[Verdict]:
    """Yield the verdicts as they arrive. With a mutation, that bug is planted in the product first."""
    chunks: list[tuple[list[int], str]] = [([], mutation)]
    for seed in seeds:
        if len(chunks[-1][0]) == CHUNK:
            chunks.append(([], mutation))
        chunks[-1][0].append(seed)
    context = multiprocessing.get_context("fork")
    with context.Pool(workers, maxtasksperchild=1 if mutation else CHUNKS_PER_WORKER) as pool:
        for verdicts in pool.imap_unordered(_work, chunks):
            yield from verdicts


def first_violation(mutation: str, seeds: int) -> str | None:
    """Plant that bug, and return the first violation that is found. Call this in a separate process.

    The recorded seed is tried first, then seeds 1 to `seeds`. An outdated record costs time, but changes no verdict.
    """
    known = recorded().get(mutation)
    wanted = [*([known] if known else []), *range(1, seeds + 1)]
    found = _first(mutation, wanted)
    return f"seed {found.seed}: {found.violations[0][:300]}" if found else None


def first_seed(mutation: str, seeds: int) -> tuple[str, int | None]:
    """Plant that bug. Returns its name, and the first of seeds 1 to `seeds` that finds it. Call this in a separate
    process."""
    found = _first(mutation, range(1, seeds + 1))
    return mutation, found.seed if found else None


def _first(mutation: str, seeds: Iterable[int]) -> Verdict | None:
    """Plant that bug for the rest of this process, and return the first verdict with a violation."""
    disk = Disk()
    try:
        MUTATIONS[mutation].plant()
        verdicts = (judge_seed(seed, disk, mutation) for seed in seeds)
        return next((verdict for verdict in verdicts if verdict.violations), None)
    finally:
        disk.close()


def _work(chunk: tuple[list[int], str]) -> list[Verdict]:
    seeds, mutation = chunk
    disk = Disk()
    try:
        if mutation:
            MUTATIONS[mutation].plant()
        return [judge_seed(seed, disk, mutation) for seed in seeds]
    finally:
        disk.close()
