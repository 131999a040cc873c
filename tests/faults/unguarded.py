"""Removes the safeguards one by one, each in a copy of the source, and expects its tests to fail for that reason.

    python tests/faults/unguarded.py [WORD …] [--at-once N] [-- PYTEST'S ARGUMENTS]

Only tests whose name contains a WORD are run. The exit code is 1 if a test passes without its safeguard, or fails for
another reason.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from xml.etree import ElementTree

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tests"))  # as pytest does

from faults.guards import GUARDS, LATER, Guard  # noqa: E402

PYTEST = (sys.executable, "-m", "pytest", "-p", "no:cacheprovider")
COPIED = ("shared", "services", "tests", "requirements", "cluster", "pyproject.toml", "README.md")


def without(guard: Guard, folder: Path) -> Path:
    """Copy the source into that folder, without that safeguard."""
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
        assert text.count(edit.old) == 1, f"{edit.file} does not contain this exactly once: {edit.old}"
        more = LATER if "_later(" in edit.new else ""
        path.write_text(text.replace(edit.old, edit.new) + more)
    return folder


def detects(guard: Guard, test: str, options: Sequence[str]) -> bool:
    """Whether that test fails without that safeguard, in each of its cases and for that reason. Prints the verdict."""
    with tempfile.TemporaryDirectory(prefix="guards-") as made:
        folder = without(guard, Path(made).resolve())
        paths = os.pathsep.join(str(folder / name) for name in ("shared", "services"))
        report = folder / "report.xml"
        done = subprocess.run(
            [*PYTEST, f"--junitxml={report}", f"tests/faults/{test}", *options],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": paths},
            capture_output=True,
            text=True,
            check=False,
        )
        cases = list(ElementTree.parse(report).iter("testcase")) if report.exists() else []
    if not cases:
        print(f"DOES NOT RUN without “{guard.name}”: {test}\n{done.stdout[-500:]}", flush=True)
    results = [fails_as_expected(guard, case) for case in cases]
    return bool(results) and all(results)


def fails_as_expected(guard: Guard, case: ElementTree.Element) -> bool:
    """Whether that case of pytest's report failed for the expected reason. Prints the verdict."""
    failure = case.find("failure")
    why = "" if failure is None else failure.get("message", "")
    if failure is None:
        # a test whose setup failed has tested nothing
        verdict = "PASSES" if case.find("error") is None else "DOES NOT RUN"
    else:
        verdict = "fails" if re.search(guard.failure, why) else "FAILS FOR ANOTHER REASON"
    print(f"{verdict} without “{guard.name}”: {case.get('name')}\n    {' '.join(why.split())[:300]}", flush=True)
    return verdict == "fails"


def main(arguments: Sequence[str]) -> int:
    """Remove the chosen safeguards. Returns 0 if every test failed as expected."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("words", nargs="*", default=[""])
    parser.add_argument("--at-once", type=int, default=1)
    own, _, options = " ".join(arguments).partition(" -- ")
    chosen = parser.parse_args(own.split())
    runs = [(guard, test) for guard in GUARDS for test in guard.tests if any(w in test for w in chosen.words)]
    with ThreadPoolExecutor(chosen.at_once) as pool:
        results = list(pool.map(lambda run: detects(*run, options.split()), runs))
    print(f"{sum(results)} of {len(results)} tests fail as expected")
    return 0 if all(results) else 1


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
