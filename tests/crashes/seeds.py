"""Many seeds, on all cores."""

import multiprocessing
import traceback
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from crashes.checker import check
from crashes.ledgers import Disk
from crashes.plan import Plan
from crashes.planted import MUTATIONS, recorded
from crashes.world import BUDGET, run

AT_A_TIME = 25
"""Seeds that a worker is given."""

PLANTED_BUDGET = 200_000
"""Steps of a run with a bug planted: ten times what an ordinary run takes. Some bugs make it spin for a minute."""

LIVES = 4
"""Portions that a worker takes before another replaces it: what a run leaves behind goes with it."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What came of a seed; `about` is the history around the first violation."""

    seed: int
    steps: int
    seconds: float
    commands: int
    violations: tuple[str, ...]
    digest: str
    about: str = ""


def judge(plan: Plan, disk: Disk, budget: int = BUDGET) -> Verdict:
    """Run a plan, and check it."""
    try:
        outcome = run(plan, disk, budget)
    except Exception:
        return Verdict(plan.seed, 0, 0.0, 0, (f"the simulator failed: {traceback.format_exc()}",), "")
    violations = check(outcome.evidence)
    about = outcome.evidence.history.around(violations[0].at) if violations else ""
    commands, digest = len(outcome.evidence.commands), outcome.evidence.history.digest()
    return Verdict(plan.seed, outcome.steps, outcome.seconds, commands, tuple(map(str, violations)), digest, about)


def run_seeds(seeds: Iterable[int], workers: int, mutation: str = "") -> Iterator[Verdict]:
    """The verdicts, as they come; of one worker, in order. With a mutation: of the product with that bug planted."""
    portions: list[tuple[list[int], str]] = [([], mutation)]
    for seed in seeds:
        if len(portions[-1][0]) == AT_A_TIME:
            portions.append(([], mutation))
        portions[-1][0].append(seed)
    context = multiprocessing.get_context("fork")
    with context.Pool(workers, maxtasksperchild=1 if mutation else LIVES) as pool:
        for verdicts in pool.imap_unordered(_work, portions):
            yield from verdicts


def first_violation(mutation: str, seeds: int) -> str | None:
    """With that bug planted, in a process of its own: a seed in which it is seen, and how.

    The recorded seed comes first, then seeds 1 to `seeds`: an outdated record costs time and changes no verdict.
    """
    known = recorded().get(mutation)
    wanted = [*([known] if known else []), *range(1, seeds + 1)]
    found = _first(mutation, wanted)
    return f"seed {found.seed}: {found.violations[0][:300]}" if found else None


def first_seed(mutation: str, seeds: int) -> tuple[str, int | None]:
    """With that bug planted, in a process of its own: its name, and the first of seeds 1 to `seeds` that sees it."""
    found = _first(mutation, range(1, seeds + 1))
    return mutation, found.seed if found else None


def _first(mutation: str, seeds: Iterable[int]) -> Verdict | None:
    """The first verdict with a violation, with that bug planted for the rest of this process."""
    disk = Disk()
    try:
        MUTATIONS[mutation].plant()
        plans = (Plan.of(seed, calm=MUTATIONS[mutation].calm) for seed in seeds)
        verdicts = (judge(plan, disk, PLANTED_BUDGET) for plan in plans)
        return next((verdict for verdict in verdicts if verdict.violations), None)
    finally:
        disk.close()


def _work(portion: tuple[list[int], str]) -> list[Verdict]:
    seeds, mutation = portion
    disk = Disk()
    try:
        if mutation:
            MUTATIONS[mutation].plant()
        return [judge(Plan.of(seed), disk) for seed in seeds]
    finally:
        disk.close()
