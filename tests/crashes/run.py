"""`python tests/crashes/run.py`: runs the real services under thousands of crash schedules, and checks them."""

import argparse
import json
import multiprocessing
import os
import secrets
import sys
import time
from functools import partial
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from crashes.ledgers import Disk
from crashes.plan import Plan
from crashes.planted import MUTATIONS, SEEDS
from crashes.seeds import Verdict, drawn, first_seed, judge, run_seeds
from crashes.shrink import shrink

ABOUT = """
Each seed is a run of two deploys, one or two successes and one or two trackers - the real code - on a broker in memory,
in virtual time. The seed draws a plan: a burst of moves, commands that pass, fail, hang or ignore SIGTERM, people's
orders, and at least ten faults: crashes at any step, frozen processes, cut and silent connections, broker restarts,
late and lost confirms, a journal that loses its tail, purged and deleted queues, a full disk, clocks that jump. After
the last fault there is a quiet time. When everything has come to rest, the checker looks for violations of the
guarantees (docs/guarantees.md) in the whole history.
"""
EXAMPLES = """
  run.py --seeds 10000           seeds 1 to 10000, on all cores
  run.py --seed 17               only this one: its plan, the violations, and the history around them
  run.py --seed 17 --history     its complete history too
  run.py --seed 17 --shrink      if it fails: the smallest plan that still fails
  run.py --seeds 50 --planted take_over_without_the_wait
                                      with a planted bug, which must be found
  run.py --seeds 10000 --new     new seeds; the first line shows which
  run.py --record                find a seed for each planted bug again, after a change of the product; the tests
                                      begin with these seeds (make planted)

The exit code is 1 if a seed fails. PYTHONHASHSEED=0, which this program sets, makes runs reproducible.
"""
REPORT_EVERY = 10.0
"""Seconds between two progress lines."""
RARE = 3000
"""The number of seeds in which each planted bug must be found."""


def main(arguments: list[str]) -> int:
    """Run the command line with these arguments. Returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="run.py",
        description=ABOUT,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--seeds", type=int, default=1000, help="how many seeds (default: 1000)")
    parser.add_argument("--first", type=int, default=1, help="the first seed (default: 1)")
    parser.add_argument("--new", action="store_true", help="draw the first seed at random")
    parser.add_argument("--seed", type=int, help="run only this seed, with all details")
    parser.add_argument("--history", action="store_true", help="with --seed: print the complete history")
    parser.add_argument(
        "--shrink",
        type=int,
        nargs="?",
        const=300,
        metavar="RUNS",
        help="with --seed: shrink a failing plan, in at most this many runs (default: 300)",
    )
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes (default: one per core)")
    parser.add_argument("--planted", choices=sorted(MUTATIONS), metavar="BUG", help=", ".join(sorted(MUTATIONS)))
    parser.add_argument("--record", action="store_true", help=f"write the seeds of planted bugs to {SEEDS.name}")
    asked = parser.parse_args(arguments)
    if asked.record:
        return record(asked.workers)
    if asked.new:
        asked.first = secrets.randbelow(10**9)
        print(f"seeds from {asked.first}; again: {sys.argv[0]} --first {asked.first} --seeds {asked.seeds}", flush=True)
    if asked.seed is not None:
        return one(asked)
    return many(asked)


def many(asked: argparse.Namespace) -> int:
    """Run seeds. Prints for each that fails how to replay it."""
    began = reported = time.monotonic()
    done, steps, virtual, failed = 0, 0, 0.0, []
    for verdict in run_seeds(range(asked.first, asked.first + asked.seeds), asked.workers, asked.planted or ""):
        done, steps, virtual = done + 1, steps + verdict.steps, virtual + verdict.seconds
        if verdict.violations:
            failed.append(verdict)
            print_failed(verdict, asked.planted)
        if time.monotonic() - reported > REPORT_EVERY:
            reported = time.monotonic()
            print(
                f"{done} of {asked.seeds} seeds, {len(failed)} failed, {(reported - began) / done:.2f} s each",
                flush=True,
            )
    took = time.monotonic() - began
    hours, each = virtual / 3600, took * asked.workers / max(done, 1)
    print(f"{done} seeds, {steps:,} steps, {hours:,.1f} hours of virtual time in {took:.0f} s ({each:.2f} s a seed)")
    print(f"{len(failed)} failed: {' '.join(str(one.seed) for one in failed)}" if failed else "all hold")
    return 1 if failed else 0


def record(workers: int) -> int:
    """Find a seed for each planted bug, and write the seeds to `mutations/seeds.json`."""
    found: dict[str, int | None] = {}
    with multiprocessing.get_context("spawn").Pool(workers, maxtasksperchild=1) as pool:
        for name, seed in pool.imap_unordered(partial(first_seed, seeds=RARE), sorted(MUTATIONS)):
            print(f"{name}: {f'seed {seed}' if seed else f'not found in {RARE} seeds'}", flush=True)
            found[name] = seed
    kept = {name: seed for name, seed in found.items() if seed}
    SEEDS.write_text(json.dumps(kept, indent=2, sort_keys=True) + "\n")
    return 0 if len(kept) == len(found) else 1


def print_failed(verdict: Verdict, planted: str | None) -> None:
    """Print the first violation of a seed, and the command that replays it."""
    again = f"python {sys.argv[0]} --planted {planted} --seed {verdict.seed} --shrink"
    print(f"seed {verdict.seed}: {verdict.violations[0]}", flush=True)
    print(f"  replay: {again if planted else f'make crashes SEED={verdict.seed}'}")


def one(asked: argparse.Namespace) -> int:
    """Run one seed, and print everything about it."""
    if asked.planted:
        MUTATIONS[asked.planted].plant()
    disk = Disk()
    try:
        plan, budget = drawn(asked.seed, asked.planted or "")
        verdict = judge(plan, disk, budget)
        if verdict.violations and asked.shrink:
            guarantee = verdict.violations[0].partition("]")[0]

            def fails(smaller: Plan) -> bool:
                return any(why.startswith(guarantee) for why in judge(smaller, disk, budget).violations)

            plan = shrink(plan, fails, asked.shrink)
            verdict = judge(plan, disk, budget)
        print(plan)
        if asked.history:
            from crashes.world import run

            print("\n".join(map(str, run(plan, disk, budget).evidence.history.entries)))
        elif verdict.about:
            print(verdict.about)
        print("\n".join(verdict.violations) or f"all hold ({verdict.steps} steps, {verdict.commands} commands)")
        return 1 if verdict.violations else 0
    finally:
        disk.close()


if __name__ == "__main__":
    if "PYTHONHASHSEED" not in os.environ:
        os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, "PYTHONHASHSEED": "0"})
    sys.exit(main(sys.argv[1:]))
