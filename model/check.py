"""Check the model of the turn protocol with spin: the complete protocol must hold, and without any rule it must fail.

Each check is one exhaustive search: spin generates a program, gcc compiles it, and the program visits every state. By
default, two checks run at a time, in temporary folders. The exit code is 0 if every check came out as expected, else 1.
"""

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
MEMORY = 5600
"""Megabytes of memory that one search may use. All checks but one need only a fraction of it."""

SECONDS = 600
"""The time limit of each program that a search runs."""


@dataclass(frozen=True, slots=True)
class Check:
    """One search: `may` lists the bounds and faults that it includes, `without` the rule that is removed, if any.

    `cycles` means that it also looks for infinite runs without progress, which takes twice as long. `long` means that
    it visits millions of states.
    """

    name: str
    may: str
    without: str = ""
    cycles: bool = True
    long: bool = False

    @property
    def expected(self) -> str:
        """The expected result."""
        return "a violation" if self.without else "holds"

    @property
    def optimised(self) -> str:
        """The optimisation level for gcc. -O2 compiles for ten seconds, -O0 for one: only a long search is worth it."""
        if self.long:
            return "-O2"
        return "-O0" if self.without else "-O1"

    @property
    def defines(self) -> list[str]:
        """The model's parameters, as options of spin."""
        return [f"-D{word}" for word in (*self.may.split(), *self.without.split())]


@dataclass(frozen=True, slots=True)
class Found:
    """The result of a check: `what` is "holds" or the violation."""

    what: str
    states: int
    seconds: float

    @property
    def violation(self) -> bool:
        """Whether the result is a violation of a claim, and not a failure of the check."""
        return self.what in VIOLATIONS.values()


VIOLATIONS = {
    "guard[": "two commands at once",
    "batch[": "a command for messages that it was not granted",
    "of_settled[": "a command for a settled message",
    "on_hold[": "a command on a held server",
    "shown[": "a result that is only in the journal",
    "T.st": "a message without a terminal state",
    "T.running": "something is left over",
    "results[": "something is left over",
    "waits": "something is left over",
    "non-progress cycle": "an infinite run without progress",
}
"""Which violation a failed assertion means, by a part of its text. The first part that is found counts."""

CHECKS = (
    Check("a process dies, freezes, or loses its consumer", "CRASH CUTS FREEZE FAULTS=1"),
    Check("two of these faults, one message", "CRASH CUTS FREEZE STOP FAULTS=2 M=1", long=True),
    Check("two of these faults, two messages", "CRASH CUTS FREEZE FAULTS=2", cycles=False, long=True),
    Check("orderly stops, and a process dies", "CRASH STOP FAULTS=2"),
    Check("takings that are not confirmed, or arrive late", "UNSURE CUTS FAULTS=1"),
    Check("an unconfirmed taking and another fault", "UNSURE CUTS CRASH FAULTS=2 M=1"),
    Check("a message reaches only the queue, or only the journal", "MISS CRASH FAULTS=2 M=1"),
    Check("the journal loses its tail", "LOSS CRASH CUTS FREEZE STOP FAULTS=1", long=True),
    Check("the journal loses its tail after another fault", "LOSS CRASH FREEZE STOP FAULTS=2 M=1", long=True),
    Check("the journal loses its tail after a withdrawal", "LOSS WITHDRAW=1 FAULTS=1"),
    Check("a command that cannot be killed, and orderly stops", "STUCK STOP FAULTS=2"),
    Check("commands fail, successes dies", "FAILS=1 DIES FAULTS=1", long=True),
    Check("commands fail, both die, two moves of one issue", "FAILS=1 DIES CRASH SAME_ISSUE FAULTS=1", long=True),
    Check("commands fail twice", "FAILS=2 FAULTS=0", long=True),
    Check("withdrawals", "WITHDRAW=1 CRASH CUTS FAULTS=1"),
    Check("a hold that is released or expires", "HOLD=1 CRASH CUTS FAULTS=1", long=True),
    Check("no barrier", "CRASH CUTS FREEZE FAULTS=1", "NO_BARRIER"),
    Check("a command that starts before its taking is read back", "CRASH CUTS FREEZE FAULTS=2", "NO_READ_BACK"),
    Check("takings granted while another is unfinished", "CRASH CUTS FREEZE FAULTS=2", "NO_GRANT"),
    Check("takings granted for messages that no longer wait", "WITHDRAW=1 FAULTS=0", "NO_STILL_WAITING"),
    Check("takings granted during a hold", "HOLD=1 FAULTS=0", "NO_HOLD_IN_GRANT"),
    Check("no take-over wait after a redelivery", "LOSS FREEZE CRASH FAULTS=2", "NO_TAKEOVER_WAIT"),
    Check("no take-over wait for an unfinished taking", "CRASH CUTS FREEZE FAULTS=1", "NO_WAIT_FOR_END"),
    Check("a take-over wait counted only from the turn", "CRASH CUTS FREEZE FAULTS=2", "WAIT_FROM_TURN"),
    Check("a take-over wait counted only from the taking", "CRASH CUTS FREEZE FAULTS=1", "WAIT_FROM_TAKING"),
    Check("a wait that counts although the turn was lost", "CRASH CUTS FREEZE FAULTS=2", "NO_STILL_HELD"),
    Check("no guard", "CRASH CUTS FREEZE FAULTS=1", "NO_GUARD"),
    Check("a guard that starts after missed heartbeats", "CRASH CUTS FREEZE FAULTS=2", "NO_REFUSAL"),
    Check(
        "a consumer cancelled while it holds a message",
        "LOSS STOP CRASH FAULTS=3",
        "CANCEL_WHILE_HOLDING",
        cycles=False,
    ),
    Check("a turn given back without the rest of the wait", "LOSS STOP CRASH FAULTS=3 M=1", "NO_WAIT_LEFT"),
    Check("unknown messages are not re-published", "MISS FAULTS=1", "NO_REPUBLISH"),
    Check("acked before the result", "CRASH FAULTS=1 NO_SWEEP", "ACK_BEFORE_RESULT"),
    Check("the result to the journal first", "CRASH FAULTS=1", "RESULT_JOURNAL_FIRST"),
    Check("retries that a dead successes left are not queued", "FAILS=1 DIES FAULTS=1 NO_SWEEP", "NO_RECHECK"),
    Check("parked in the journal first", "FAILS=2 DIES FAULTS=1", "PARKED_FIRST"),
    Check("no sweep", "MISS FAULTS=1", "NO_SWEEP"),
    Check("the end of a turn waives every later wait", "LOSS STOP FAULTS=2 M=1", "ANY_LATER_RETURN"),
    Check("an interruption that ends its turn", "LOSS FREEZE FAULTS=2 M=1", "INTERRUPTED_ENDS_TURN"),
    Check("settled messages acked before the take-over wait", "LOSS WITHDRAW=1 FAULTS=1", "SETTLED_FIRST"),
    Check("a sweep that skips messages being deployed", "LOSS FAULTS=1", "SWEEP_LEAVES_RUNNING"),
    Check("a wait that ends a deploy that is stuck", "STUCK STOP FAULTS=2 M=1", "WAIT_ENDS_STUCK"),
    Check("a retry published early leaves its message failed", "FAILS=1 FAULTS=0", "EARLY_NEXT_LEAVES_FAILED"),
)


def check(one: Check) -> Found:
    """Run the search. Raises RuntimeError if spin or gcc rejects the model."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="usher-model-") as folder:
        defines = [f"{define}=1" if "=" not in define else define for define in one.defines]
        _run(["spin", "-a", *defines, str(HERE / "turn.pml")], folder)
        kind = "-DNP" if one.cycles else "-DSAFETY"
        _run(["gcc", one.optimised, "-w", kind, f"-DMEMLIM={MEMORY}", "-o", "pan", "pan.c"], folder)
        output = _run(["./pan", "-m100000", "-n", *(["-l"] if one.cycles else [])], folder)
    states = re.search(r"(\d+) states, stored", output)
    return Found(_what(output), int(states[1]) if states else 0, time.monotonic() - began)


def _run(command: Sequence[str], folder: str) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=SECONDS, check=False)  # noqa: S603
    output = done.stdout + done.stderr
    if done.returncode or "Error:" in output:
        raise RuntimeError(f"{command[0]} rejects the model: {output.strip()[:2000]}")
    return output


def _what(output: str) -> str:
    """What a search has found, from its output."""
    if "max search depth too small" in output or "reached -DMEMLIM" in output:
        return "the search did not finish"
    violated = re.search(r"pan:\d+: (.*)", output)
    if violated is None:
        return "holds" if "errors: 0" in output else "output that is not understood"
    return next((violation for part, violation in VIOLATIONS.items() if part in violated[1]), violated[1])


def missing() -> list[str]:
    """The programs that have to be installed first."""
    return [program for program in ("spin", "gcc") if shutil.which(program) is None]


def main() -> int:
    """Run the checks that the command line selects, and print the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "words", nargs="*", metavar="WORD", help="only checks whose name or parameters contain one of these"
    )
    parser.add_argument("--jobs", type=int, default=2, metavar="N", help="number of searches at a time (default: 2)")
    parser.add_argument("--list", action="store_true", help="list the checks and exit")
    arguments = parser.parse_args()
    chosen = [
        one for one in CHECKS if not arguments.words or any(w in f"{one.name} {one.defines}" for w in arguments.words)
    ]
    if arguments.list:
        for one in chosen:
            print(f"{one.expected:11} {one.name}  [{' '.join(one.defines)}]")
        return 0
    if lacking := missing():
        print(f"Install {' and '.join(lacking)} first: apt-get install spin gcc, or brew install spin", file=sys.stderr)
        return 1
    print(f"{'check':62} {'expected':11} {'found':40} {'states':>10} {'seconds':>7}")
    with ThreadPoolExecutor(arguments.jobs) as threads:
        good = list(threads.map(_checked, chosen))
    print(f"{sum(good)} of {len(good)} came out as expected")
    return 0 if all(good) else 1


def _checked(one: Check) -> bool:
    try:
        found = check(one)
    except (RuntimeError, subprocess.TimeoutExpired) as fault:
        print(f"{one.name:62} {one.expected:11} {fault}", flush=True)
        return False
    good = found.violation if one.without else found.what == "holds"
    line = f"{one.name:62} {one.expected:11} {found.what:40} {found.states:10,} {found.seconds:7.1f}"
    print(line if good else f"{line}  NOT AS EXPECTED", flush=True)
    return good


if __name__ == "__main__":
    sys.exit(main())
