"""Everything is killed at once, services and broker, and started again on its disks: all that there was is there."""

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
def test_what_waited_was_in_a_window_ran_was_in_retry_or_parked_is_all_there_and_gets_its_last_state(
    container: Container, make_programs: "Callable[..., Programs]", say: Callable[[dict[str, object]], None], again: int
) -> None:
    """`again`: how often everything is killed; from the second time on it is in the middle of its return."""
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
    usher.tell(FAILING, "stage")
    usher.wait(lambda: states(usher).get(FAILING) == "retrying", "a failed one is in retry")
    hold = usher.hold()
    usher.tell("ABC-1", "beta")
    usher.wait(lambda: any("ABC-1" in run.issues for run in usher.runs()), "one runs")
    usher.tell("ABC-2", "beta")
    usher.tell("ABC-3", "beta")
    usher.tell("ABC-4", "test")
    usher.wait(lambda: "a window opened" in after(usher, "test.abc.wwts.com"), "one waits for its window")
    wanted = {FAILING: "retrying", "ABC-1": "deploying", "ABC-2": "waiting", "ABC-3": "waiting", "ABC-4": "waiting"}
    assert states(usher) == wanted
    for _ in range(again):
        with ThreadPoolExecutor(1) as at_once:
            at_once.submit(container.kill)
            usher.kill(*SERVICES)
        container.start()
        usher.start(*SERVICES)
    hold.unlink()
    history = usher.proved(180)
    say(history.figures({"everything": again}))
    ends = {row["issue"]: row["state"] for row in history.messages if row["state"] != "retried"}
    assert ends == {FAILING: "parked", **dict.fromkeys(("ABC-1", "ABC-2", "ABC-3", "ABC-4"), "deployed")}
    attempts = [run for run in history.runs if FAILING in run.issues and run.ended]
    assert len(attempts) == 2, "the retry is tried again as it would have been"


def states(usher: "Programs") -> dict[str, Any]:
    """Each issue's state, of the attempt that counts."""
    rows = usher.places.rows("messages")
    return {row["issue"]: row["state"] for row in rows if row["state"] != "retried"}


def after(usher: "Programs", server: str) -> str:
    """What `deploys` has said of that server."""
    return "\n".join(line for line in usher.log("deploys").splitlines() if server in line)
