"""Takes the guards away, one at a time in a copy of the source, and expects the test of each to fail.

    python tests/faults/unguarded.py [WORD …] [--at-once N] [-- PYTEST'S ARGUMENTS]

WORDs choose among the guards by their tests. The exit code is 1 if a test passes without its guard.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tests"))  # as pytest does

from faults.guards import GUARDS, LATER, Guard  # noqa: E402

COPIED = ("shared", "services", "tests", "requirements", "cluster", "pyproject.toml", "README.md")


def without(guard: Guard, folder: Path) -> Path:
    """A copy of the source without that guard."""
    for name in COPIED:
        here = ROOT / name
        if here.is_dir():
            shutil.copytree(here, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(here, folder / name)
    for compose in ROOT.glob("docker-compose*.yml"):
        shutil.copy(compose, folder / compose.name)
    for edit in guard.edits:
        path = folder / edit.file
        text = path.read_text()
        assert text.count(edit.old) == 1, f"{edit.file} does not have this once: {edit.old}"
        more = LATER if "_later(" in edit.new else ""
        path.write_text(text.replace(edit.old, edit.new) + more)
    return folder


def seen(guard: Guard, test: str, options: Sequence[str]) -> bool:
    """Whether that test fails without that guard; says so."""
    with tempfile.TemporaryDirectory(prefix="guards-") as made:
        folder = without(guard, Path(made).resolve())
        paths = os.pathsep.join(str(folder / name) for name in ("shared", "services"))
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", f"tests/faults/{test}", *options],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": paths},
            capture_output=True,
            text=True,
            check=False,
        )
    why = [line for line in done.stdout.splitlines() if line.startswith("E  ")]
    fails = done.returncode == 1 and " failed" in done.stdout
    # a test that could not be set up has seen nothing
    verdict = "fails" if fails else "PASSES" if done.returncode == 0 else "DOES NOT RUN"
    print(f"{verdict} without “{guard.says}”: {test}", flush=True)
    print(f"    {why[0][1:].strip()[:200] if why else done.stdout[-500:]}", flush=True)
    return fails


def main(arguments: Sequence[str]) -> int:
    """Take away what `arguments` choose; 0 if every test failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("words", nargs="*", default=[""])
    parser.add_argument("--at-once", type=int, default=1)
    own, _, options = " ".join(arguments).partition(" -- ")
    chosen = parser.parse_args(own.split())
    runs = [(guard, test) for guard in GUARDS for test in guard.tests if any(w in test for w in chosen.words)]
    with ThreadPoolExecutor(chosen.at_once) as pool:
        results = list(pool.map(lambda run: seen(*run, options.split()), runs))
    print(f"{sum(results)} of {len(results)} seen to fail")
    return 0 if all(results) else 1


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
