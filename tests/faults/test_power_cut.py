"""Services and broker are killed at the same time and restarted on their disks: nothing is lost."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from faults.containers import Container
from faults.storms import SERVICES

if TYPE_CHECKING:
    from conftest import Programs

pytestmark = [pytest.mark.slow, pytest.mark.long, pytest.mark.programs]

FAILING = "ABC-6"


@pytest.mark.parametrize("again", [1, 3])
def test_after_a_power_cut_every_message_is_still_there_and_reaches_its_final_state(
    container: Container, make_programs: "Callable[..., Programs]", say: Callable[[dict[str, object]], None], again: int
) -> None:
    """`again`: how often everything is killed. From the second time on, the services are just recovering."""
    usher = make_programs(
        broker=container.broker,
        plan={"forbidden": FAILING, "seconds": 2},
        PROJECTS__ABC__STATUSES='["stage", "test", "beta"]',
        RETRIES__NEVER="[]",
        RETRIES__DELAYS='["25s"]',
        WINDOW__QUIET="6s",
        WINDOW__CAP="6s",
    )
    usher.start(*SERVICES)
    usher.send(FAILING, "stage")
    usher.wait(lambda: states(usher).get(FAILING) == "retrying", "a failed message is waiting for its retry")
    hold = usher.hold()
    usher.send("ABC-1", "beta")
    usher.wait(lambda: any("ABC-1" in run.issues for run in usher.runs()), "a command runs")
    usher.send("ABC-2", "beta")
    usher.send("ABC-3", "beta")
    usher.send("ABC-4", "test")
    usher.wait(lambda: "a window opened" in log_of(usher, "test.abc.wwts.com"), "a message waits in its window")
    wanted = {FAILING: "retrying", "ABC-1": "deploying", "ABC-2": "waiting", "ABC-3": "waiting", "ABC-4": "waiting"}
    assert states(usher) == wanted
    for _ in range(again):
        with ThreadPoolExecutor(1) as at_once:
            at_once.submit(container.kill)
            usher.kill(*SERVICES)
        container.start()
        usher.start(*SERVICES)
    hold.unlink()
    history = usher.verify(180)
    say(history.figures({"everything": again}))
    ends = {row["issue"]: row["state"] for row in history.messages if row["state"] != "retried"}
    assert ends == {FAILING: "parked", **dict.fromkeys(("ABC-1", "ABC-2", "ABC-3", "ABC-4"), "deployed")}
    attempts = [run for run in history.runs if FAILING in run.issues and run.ended]
    assert len(attempts) == 2, "the retry happens as planned"


def states(usher: "Programs") -> dict[str, Any]:
    """The state of each issue's current attempt."""
    rows = usher.places.rows("messages")
    return {row["issue"]: row["state"] for row in rows if row["state"] != "retried"}


def log_of(usher: "Programs", server: str) -> str:
    """The lines about that server in the log of `deploys`."""
    return "\n".join(line for line in usher.log("deploys").splitlines() if server in line)
