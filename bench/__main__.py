"""`python bench`: measures how fast Usher is, beside what a team would use instead."""

import argparse
import sys
import tempfile
from pathlib import Path

import report
from figures import FIGURES
from harness import Bench, run

EXAMPLES = """
  python bench                      every figure but the soak
  python bench accept small         these two
  python bench accept --rounds 5    more rounds give steadier medians
  python bench soak --minutes 30    a steady load for half an hour
  python bench storm --smoke        small sizes, to see that the figure works

Each figure is measured in rounds, and every round measures all its rows, so that the rows share the machine's mood.
Results are kept in results.json, and RESULTS.md is written from them.
"""
SMOKE_SECONDS = 2.0


def main(arguments: list[str]) -> int:
    """Run the command line with these arguments. Returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python bench", description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    names = ", ".join(FIGURES)
    parser.add_argument("figures", nargs="*", metavar="FIGURE", help=f"what to measure: {names}")
    parser.add_argument("--rounds", type=int, help="how often to measure each row")
    parser.add_argument("--seconds", type=float, default=10, help="length of one load (default: 10)")
    parser.add_argument("--minutes", type=float, default=30, help="length of the soak (default: 30)")
    parser.add_argument("--dry", action="store_true", help="show the figures without keeping them")
    parser.add_argument("--smoke", action="store_true", help="measure small sizes in one round, without keeping them")
    asked = parser.parse_args(arguments)
    if unknown := set(asked.figures) - set(FIGURES):
        parser.error(f"no figure is called {', '.join(sorted(unknown))}; there are {names}")
    seconds, minutes = (SMOKE_SECONDS, SMOKE_SECONDS / 60) if asked.smoke else (asked.seconds, asked.minutes)
    rounds, dry = 1 if asked.smoke else asked.rounds, asked.dry or asked.smoke
    with tempfile.TemporaryDirectory(prefix="usher-bench-") as folder:
        bench = Bench(Path(folder), seconds, minutes, asked.smoke, lambda line: print(line, flush=True))
        for name in asked.figures or [name for name, figure in FIGURES.items() if not figure.long]:
            figure = FIGURES[name]
            results = run(figure, rounds or figure.rounds, bench)
            if not dry:
                report.record(figure, results)
    if not dry:
        report.write(FIGURES.values())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
