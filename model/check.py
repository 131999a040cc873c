"""Check the model of the turn protocol with spin: as it is it holds; without each of its rules a fault is found.

Each check is one exhaustive search: spin writes a program, gcc compiles it, it visits every state there is. Checks run
two at a time, in a temporary folder. Ends with 0 if every one came out as expected, else with 1.
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
MEMORY = 3600
"""Megabytes that one search may take; at most one check needs more than a fraction of it."""

SECONDS = 600


@dataclass(frozen=True, slots=True)
class Check:
    """One search: what may happen in it (`may`), with which of the rules removed (`without`), if any.

    `cycles`: also look for a run that goes on for ever and settles nothing; it takes twice as long. `long`: it visits
    millions of states.
    """

    name: str
    may: str
    without: str = ""
    cycles: bool = True
    long: bool = False

    @property
    def expected(self) -> str:
        """What has to come out."""
        return "a fault" if self.without else "holds"

    @property
    def optimised(self) -> str:
        """How gcc optimises it: the longer a search takes, the more it pays. -O2 takes ten seconds, -O0 takes one."""
        if self.long:
            return "-O2"
        return "-O0" if self.without else "-O1"

    @property
    def defines(self) -> list[str]:
        """The model's parameters, as spin takes them."""
        return [f"-D{word}" for word in (*self.may.split(), *self.without.split())]


@dataclass(frozen=True, slots=True)
class Found:
    """What came out of a check: `what` is "holds" or the fault."""

    what: str
    states: int
    seconds: float

    @property
    def fault(self) -> bool:
        """Whether that was one of the protocol's faults, and not of the check."""
        return self.what in FAULTS.values()


FAULTS = {
    "guard[": "two commands at once",
    "batch[": "a command for what it was not granted",
    "of_settled[": "a command for what was settled",
    "on_hold[": "a command on a held server",
    "shown[": "a result in the journal alone",
    "T.st": "a message without a last state",
    "T.running": "something is left over",
    "results[": "something is left over",
    "waits": "something is left over",
    "non-progress cycle": "a run without an end",
}
"""By a part of what spin says, the longest that fits first."""

CHECKS = (
    Check("a process dies, freezes, or loses its consumer", "CRASH CUTS FREEZE FAULTS=1"),
    Check("two such faults, of one message", "CRASH CUTS FREEZE STOP FAULTS=2 M=1", long=True),
    Check("two such faults, of two messages", "CRASH CUTS FREEZE FAULTS=2", cycles=False, long=True),
    Check("stops in order, and a death beside", "CRASH STOP FAULTS=2"),
    Check("takings that are not confirmed, or land late", "UNSURE CUTS FAULTS=1"),
    Check("two such faults", "UNSURE CUTS CRASH FAULTS=2 M=1"),
    Check("a message misses the queue or the journal", "MISS CRASH FAULTS=2 M=1"),
    Check("the journal loses its tail", "LOSS CRASH CUTS FREEZE STOP FAULTS=1", long=True),
    Check("the journal loses its tail after another fault", "LOSS CRASH FREEZE STOP FAULTS=2 M=1", long=True),
    Check("the journal loses its tail after a withdrawal", "LOSS WITHDRAW=1 FAULTS=1"),
    Check("commands fail, successes dies", "FAILS=1 DIES FAULTS=1", long=True),
    Check("commands fail, both die, one issue twice", "FAILS=1 DIES CRASH SAME_ISSUE FAULTS=1", long=True),
    Check("commands fail twice", "FAILS=2 FAULTS=0", long=True),
    Check("withdrawals", "WITHDRAW=1 CRASH CUTS FAULTS=1"),
    Check("a hold that is released or expires", "HOLD=1 CRASH CUTS FAULTS=1", long=True),
    Check("no barrier", "CRASH CUTS FREEZE FAULTS=1", "NO_BARRIER"),
    Check("the right to run without reading the journal back", "CRASH CUTS FREEZE FAULTS=2", "NO_READ_BACK"),
    Check("takings granted beside an unfinished one", "CRASH CUTS FREEZE FAULTS=2", "NO_GRANT"),
    Check("takings granted of what waits no more", "WITHDRAW=1 FAULTS=0", "NO_STILL_WAITING"),
    Check("takings granted during a hold", "HOLD=1 FAULTS=0", "NO_HOLD_IN_GRANT"),
    Check("no take-over wait after a redelivery", "LOSS FREEZE CRASH FAULTS=2", "NO_TAKEOVER_WAIT"),
    Check("no wait for the end of another's taking", "CRASH CUTS FREEZE FAULTS=1", "NO_WAIT_FOR_END"),
    Check("that wait from getting the turn alone", "CRASH CUTS FREEZE FAULTS=2", "WAIT_FROM_TURN"),
    Check("that wait from reading the taking alone", "CRASH CUTS FREEZE FAULTS=1", "WAIT_FROM_TAKING"),
    Check("a wait that counts though the turn was lost", "CRASH CUTS FREEZE FAULTS=2", "NO_STILL_HELD"),
    Check("no guard", "CRASH CUTS FREEZE FAULTS=1", "NO_GUARD"),
    Check("a guard that starts after missed beats", "CRASH CUTS FREEZE FAULTS=2", "NO_REFUSAL"),
    Check(
        "a consumer cancelled while it holds a message",
        "LOSS STOP CRASH FAULTS=3",
        "CANCEL_WHILE_HOLDING",
        cycles=False,
    ),
    Check("a turn given back without what is owed", "LOSS STOP CRASH FAULTS=3 M=1", "NO_OWES"),
    Check("what the journal does not know is not told again", "MISS FAULTS=1", "NO_TELL_AGAIN"),
    Check("acked before the result", "CRASH FAULTS=1 NO_SWEEP", "ACK_BEFORE_RESULT"),
    Check("the result to the journal first", "CRASH FAULTS=1", "RESULT_JOURNAL_FIRST"),
    Check("what a dead successes left is not put off", "FAILS=1 DIES FAULTS=1 NO_SWEEP", "NO_LEFT"),
    Check("parked in the journal first", "FAILS=2 DIES FAULTS=1", "PARKED_FIRST"),
    Check("no sweep", "MISS FAULTS=1", "NO_SWEEP"),
    Check("the take-over wait left out after any later return", "LOSS STOP FAULTS=2 M=1", "ANY_LATER_RETURN"),
    Check("an interruption that ends its turn", "LOSS FREEZE FAULTS=2 M=1", "INTERRUPTED_ENDS_TURN"),
    Check("what is settled acked before the take-over wait", "LOSS WITHDRAW=1 FAULTS=1", "SETTLED_FIRST"),
    Check("a sweep that leaves alone what runs", "LOSS FAULTS=1", "SWEEP_LEAVES_RUNNING"),
    Check("a retry told already leaves its message failed", "FAILS=1 FAULTS=0", "NEXT_TOLD_LEAVES_FAILED"),
)


def check(one: Check) -> Found:
    """Search it. Raises RuntimeError if spin or gcc refuse the model."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="usher-model-") as folder:
        defines = [f"{define}=1" if "=" not in define else define for define in one.defines]
        _run(["spin", "-a", *defines, str(HERE / "turn.pml")], folder)
        kind = "-DNP" if one.cycles else "-DSAFETY"
        _run(["gcc", one.optimised, "-w", kind, f"-DMEMLIM={MEMORY}", "-o", "pan", "pan.c"], folder)
        said = _run(["./pan", "-m100000", "-n", *(["-l"] if one.cycles else [])], folder)
    states = re.search(r"(\d+) states, stored", said)
    return Found(_what(said), int(states[1]) if states else 0, time.monotonic() - began)


def _run(command: Sequence[str], folder: str) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=SECONDS, check=False)  # noqa: S603
    said = done.stdout + done.stderr
    if done.returncode or "Error:" in said:
        raise RuntimeError(f"{command[0]} refuses the model: {said.strip()[:2000]}")
    return said


def _what(said: str) -> str:
    """What a search says that it has found."""
    if "max search depth too small" in said or "reached -DMEMLIM" in said:
        return "not searched to its end"
    violated = re.search(r"pan:\d+: (.*)", said)
    if violated is None:
        return "holds" if "errors: 0" in said else "nothing that is understood"
    return next((fault for part, fault in FAULTS.items() if part in violated[1]), violated[1])


def missing() -> list[str]:
    """What has to be installed first."""
    return [program for program in ("spin", "gcc") if shutil.which(program) is None]


def main() -> int:
    """Run the checks that the command line names, and print what came out."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "words", nargs="*", metavar="WORD", help="only checks whose name or parameters have one of these"
    )
    parser.add_argument("--jobs", type=int, default=2, metavar="N", help="searches at a time (2)")
    parser.add_argument("--list", action="store_true", help="say what would be checked, and end")
    arguments = parser.parse_args()
    meant = [
        one for one in CHECKS if not arguments.words or any(w in f"{one.name} {one.defines}" for w in arguments.words)
    ]
    if arguments.list:
        for one in meant:
            print(f"{one.expected:8} {one.name}  [{' '.join(one.defines)}]")
        return 0
    if lacking := missing():
        print(f"Install {' and '.join(lacking)} first: apt-get install spin gcc, or brew install spin", file=sys.stderr)
        return 1
    print(f"{'check':62} {'expected':8} {'found':40} {'states':>10} {'seconds':>7}")
    with ThreadPoolExecutor(arguments.jobs) as threads:
        good = list(threads.map(_checked, meant))
    print(f"{sum(good)} of {len(good)} came out as expected")
    return 0 if all(good) else 1


def _checked(one: Check) -> bool:
    try:
        found = check(one)
    except (RuntimeError, subprocess.TimeoutExpired) as fault:
        print(f"{one.name:62} {one.expected:8} {fault}", flush=True)
        return False
    good = found.fault if one.without else found.what == "holds"
    line = f"{one.name:62} {one.expected:8} {found.what:40} {found.states:10,} {found.seconds:7.1f}"
    print(line if good else f"{line}  NOT AS EXPECTED", flush=True)
    return good


if __name__ == "__main__":
    sys.exit(main())
