"""Runs many seeds on all cores."""

import multiprocessing
import traceback
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from crashes.checker import check
from crashes.ledgers import Disk
from crashes.plan import Plan
from crashes.planted import MUTATIONS
from crashes.world import run

CHUNK = 25
"""The number of seeds that a worker gets at a time."""

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


def judge(plan: Plan, disk: Disk) -> Verdict:
    """Run a plan, and check what happened."""
    try:
        outcome = run(plan, disk)
    except Exception:
        return Verdict(plan.seed, 0, 0.0, 0, (f"the simulator failed: {traceback.format_exc()}",), "")
    violations = check(outcome.evidence)
    about = outcome.evidence.history.around(violations[0].at) if violations else ""
    commands, digest = len(outcome.evidence.commands), outcome.evidence.history.digest()
    return Verdict(plan.seed, outcome.steps, outcome.seconds, commands, tuple(map(str, violations)), digest, about)


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
    """Plant that bug, and return the first violation that one of the seeds finds. Call this in a separate process."""
    disk = Disk()
    try:
        MUTATIONS[mutation].plant()
        for seed in range(1, seeds + 1):
            if violations := judge(Plan.of(seed, calm=MUTATIONS[mutation].calm), disk).violations:
                return f"seed {seed}: {violations[0][:300]}"
        return None
    finally:
        disk.close()


def _work(chunk: tuple[list[int], str]) -> list[Verdict]:
    seeds, mutation = chunk
    disk = Disk()
    try:
        if mutation:
            MUTATIONS[mutation].plant()
        return [judge(Plan.of(seed), disk) for seed in seeds]
    finally:
        disk.close()
