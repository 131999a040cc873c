"""Retries end to end: the real programs, with fractions of a second instead of minutes."""

import asyncio
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from usher.broker import topology
from usher.broker.link import connect
from usher.settings.sections import BrokerSettings

if TYPE_CHECKING:
    from conftest import Programs

pytestmark = pytest.mark.slow

COMMAND = """
import json, os, sys, time
from pathlib import Path
folder, server, *issues = sys.argv[1:]
plan = Path(folder, "plan")
code, *rest = json.loads(plan.read_text())
plan.write_text(json.dumps(rest))
with open(folder + "/attempts", "a") as file:
    file.write(os.environ["USHER_ATTEMPT"] + " ".join(["", *issues]) + "\\n")
if code == "hang":
    time.sleep(60)
print("it ends with", code)
sys.exit(code)
"""


@dataclass(frozen=True)
class Sequence:
    """A plan of how a server's commands end, one after the other, and what it means for ABC-1.

    `runs` are the attempt and the issues as the command sees them. `states` are the final states of the messages,
    oldest first, each attempt after the one before. `parked` is the final number of messages in `usher.parked`. With
    `again_when`, the issue is moved again once it is in that state.
    """

    plan: list[object]
    runs: list[str]
    states: list[str]
    outcomes: list[str]
    parked: int = 0
    again_when: str | None = None
    settings: dict[str, str] = field(default_factory=dict)


ONCE, TWICE, THRICE = "1 ABC-1", "2 ABC-1", "3 ABC-1"
SEQUENCES = {
    "fail, fail, pass": Sequence(
        plan=[1, 1, 0],
        runs=[ONCE, TWICE, THRICE],
        states=["retried", "retried", "deployed"],
        outcomes=["failed", "failed", "passed"],
    ),
    "fail to the end": Sequence(
        plan=[1, 1, 1],
        runs=[ONCE, TWICE, THRICE],
        states=["retried", "retried", "parked"],
        outcomes=["failed", "failed", "failed"],
        parked=1,
    ),
    "a time-out is a failure": Sequence(
        plan=["hang", 0],
        runs=[ONCE, TWICE],
        states=["retried", "deployed"],
        outcomes=["timed_out", "passed"],
        settings={"DEPLOYS__TIMEOUT": "1s"},
    ),
    "75 costs no attempt": Sequence(
        plan=[75, 75, 0],
        runs=[ONCE, ONCE, ONCE],
        states=["retried", "retried", "deployed"],
        outcomes=["failed", "failed", "passed"],
    ),
    "75 too often is a failure": Sequence(
        plan=[75, 75, 0],
        runs=[ONCE, ONCE, TWICE],
        states=["retried", "retried", "deployed"],
        outcomes=["failed", "failed", "passed"],
        settings={"RETRIES__SOON": "1"},
    ),
    "a code that is never retried": Sequence(
        plan=[65],
        runs=[ONCE],
        states=["parked"],
        outcomes=["failed"],
        parked=1,
    ),
    "a pass while a retry waits": Sequence(
        plan=[1, 0],
        runs=[ONCE, ONCE],
        states=["retried", "superseded", "deployed"],
        outcomes=["failed", "passed"],
        again_when="retrying",
        settings={"RETRIES__DELAYS": '["6s"]', "RETRIES__JITTER": "0"},
    ),
    "a pass while an older one is parked": Sequence(
        plan=[65, 0],
        runs=[ONCE, ONCE],
        states=["superseded", "deployed"],
        outcomes=["failed", "passed"],
        again_when="parked",
    ),
}


@pytest.mark.parametrize("sequence", SEQUENCES.values(), ids=SEQUENCES)
def test_a_sequence_of_failures_ends_as_expected(
    make_programs: "Callable[..., Programs]", sequence: Sequence, tmp_path: Path, vhost_url: str
) -> None:
    (tmp_path / "plan").write_text(json.dumps(sequence.plan))
    defaults = {
        "DEPLOYS__COMMAND": json.dumps([sys.executable, "-c", COMMAND, str(tmp_path), "{server}", "{issues}"]),
        "RETRIES__DELAYS": '["300ms", "600ms"]',
        "WINDOW__QUIET": "100ms",
    }
    usher = make_programs(**{**defaults, **sequence.settings})
    usher.start("trackers", "deploys", "successes")

    def states() -> list[str]:
        items = usher.get("successes", "/api/messages?issue=ABC-1")["items"]
        found = {item["id"]: item for item in items}  # type: ignore[index,attr-defined]
        begun = {m: found[item["origin"] or m]["queued_at"] for m, item in found.items()}
        # a first attempt is its own origin; a retry comes after the attempt that failed
        ordered = sorted(found, key=lambda m: (begun[m], found[m]["origin"] != m, found[m]["queued_at"]))
        return [str(found[m]["state"]) for m in ordered]

    usher.send("ABC-1", "beta")
    if sequence.again_when:
        usher.wait(lambda: sequence.again_when in states(), f"it is {sequence.again_when}")
        usher.send("ABC-1", "beta")
    usher.wait(lambda: states() == sequence.states, f"{sequence.states}")
    usher.wait(lambda: count(vhost_url, topology.PARKED) == sequence.parked, f"{sequence.parked} are parked")
    usher.wait(
        lambda: all(count(vhost_url, queue) == 0 for queue in retry_path(sequence)), "all queues on the way are empty"
    )

    assert (tmp_path / "attempts").read_text().splitlines() == sequence.runs
    deploys = usher.get("successes", "/api/deploys")["items"]
    assert [deploy["outcome"] for deploy in reversed(deploys)] == sequence.outcomes  # type: ignore[call-overload]
    server = usher.get("successes", "/api/servers/beta.abc.wwts.com")
    assert server["state"] == ("failing" if sequence.parked else "idle")
    if sequence.again_when == "retrying":
        assert "ABC-1 of beta.abc.wwts.com is superseded: not retried" in usher.log("successes")


def retry_path(sequence: Sequence) -> list[str]:
    """The queues that a retry passes through."""
    delays = json.loads(sequence.settings.get("RETRIES__DELAYS", '["300ms", "600ms"]'))
    return [*(f"usher.retry.{delay}" for delay in delays), topology.RETURNS, "usher.server.beta.abc.wwts.com"]


def count(url: str, queue: str) -> int | None:
    """How many messages of that queue are ready."""

    async def look() -> int | None:
        settings = BrokerSettings.model_validate({"url": url})
        async with connect(settings, "test") as link, link.publishing.raw.channel() as channel:
            return (await channel.declare_queue(queue, passive=True)).declaration_result.message_count

    return asyncio.run(look())
