"""The real programs are killed and frozen during storms and deploys: nothing is lost, or deployed twice at once."""

import signal
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import httpx
import psutil
import pytest

from faults.storms import SERVICES, storm
from usher.broker import topology
from usher.local.choose import Broker

if TYPE_CHECKING:
    from conftest import Programs

pytestmark = pytest.mark.slow

MakePrograms = Callable[..., "Programs"]


@pytest.mark.parametrize("victim", SERVICES)
def test_a_service_killed_during_a_storm_loses_nothing(make_programs: MakePrograms, victim: str) -> None:
    usher = make_programs(seconds=2)
    usher.start(*SERVICES)
    storm(usher, range(10))
    usher.wait(usher.runs, "a command runs")
    storm(usher, range(10, 15))
    usher.kill(victim)
    if victim != "trackers":
        storm(usher, range(15, 25))
    if victim == "successes":
        usher.wait(lambda: not usher.missed(), "deploys continue, which it has to learn about later")
    usher.start(victim)
    storm(usher, range(25, 30))
    print(usher.verify().figures({victim: 1}))


@pytest.mark.parametrize("victim", ["trackers", "successes"])
def test_a_service_frozen_during_a_storm_continues_when_it_wakes_and_loses_nothing(
    make_programs: MakePrograms, victim: str
) -> None:
    usher = make_programs(seconds=2)
    other = make_programs(fellow=usher)
    usher.start(*SERVICES)
    other.start("trackers")
    storm(usher, range(10))
    frozen = usher.running[victim]
    frozen.send_signal(signal.SIGSTOP)
    # longer than the broker waits for heartbeats: it has closed the connections when the service wakes
    until = time.monotonic() + 8
    number = 10
    while time.monotonic() < until:
        storm(other, range(number, number + 1))
        number += 1
        time.sleep(0.2)
    frozen.send_signal(signal.SIGCONT)
    usher.wait(lambda: "connecting again" in usher.log(victim), "it notices the loss")
    usher.wait(lambda: httpx.get(usher.url(victim) + "/ready", timeout=20).status_code == 200, "it is ready again")
    storm(usher, range(number, number + 5))
    usher.verify()


def test_the_command_of_a_frozen_deploys_is_stopped_and_its_batch_is_deployed_again(
    make_programs: MakePrograms,
) -> None:
    usher = make_programs()
    usher.start(*SERVICES)
    hold = usher.hold()
    usher.send("ABC-1", "beta")
    usher.wait(usher.runs, "a command runs")
    frozen = usher.running["deploys"]
    frozen.send_signal(signal.SIGSTOP)
    usher.wait(lambda: time.time() - usher.runs()[0].alive > 2, "its command has been stopped")
    hold.unlink()
    frozen.send_signal(signal.SIGCONT)
    usher.wait(lambda: len(usher.runs()) == 2, "it is deployed again", 60)
    usher.verify()


def test_another_deploys_takes_over_from_a_frozen_one_which_does_no_harm_when_it_wakes(
    make_programs: MakePrograms,
) -> None:
    usher = make_programs()
    other = make_programs(fellow=usher)
    usher.start(*SERVICES)
    hold = usher.hold()
    usher.send("ABC-1", "beta")
    usher.wait(usher.runs, "a command runs")
    other.start("deploys")
    frozen = usher.running["deploys"]
    frozen.send_signal(signal.SIGSTOP)
    usher.wait(lambda: len(usher.runs()) == 2, "the other one deploys it", 90)
    frozen.send_signal(signal.SIGCONT)
    usher.wait(lambda: "connecting again" in usher.log("deploys"), "it notices that it lost its turn")
    hold.unlink()
    history = usher.verify()
    assert len(history.runs) == 2


def test_a_second_deploys_takes_over_from_a_killed_one(make_programs: MakePrograms) -> None:
    usher = make_programs(seconds=4)
    other = make_programs(seconds=4, fellow=usher)
    usher.start(*SERVICES)
    other.start("deploys")
    storm(usher, range(5))
    usher.wait(usher.runs, "a command runs")
    usher.kill("deploys")
    usher.verify()


def test_a_second_deploys_waits_until_the_command_of_a_killed_one_must_be_dead(
    make_programs: MakePrograms,
) -> None:
    """The taking is older than the take-over wait, and its command ignores TERM: only KILL ends it."""
    usher = make_programs(seconds=60, plan={"stubborn": True}, DEPLOYS__GRACE="4s")
    other = make_programs(seconds=1, fellow=usher, DEPLOYS__GRACE="4s")
    usher.start(*SERVICES)
    usher.send("ABC-1", "beta")
    usher.wait(usher.runs, "a command runs")
    other.start("deploys")
    usher.wait(lambda: usher.runs()[0].alive - usher.runs()[0].begin > 19, "it has run for longer than the wait")
    usher.kill("deploys")
    history = usher.verify()
    assert history.figures()["takeovers from a holder that is gone"] == 1
    assert other.log("deploys").count("has not reported its end") == 1


def test_killing_a_guard_kills_its_command_and_the_batch_is_deployed_again(
    make_programs: MakePrograms,
) -> None:
    usher = make_programs(seconds=5)
    usher.start(*SERVICES)
    usher.send("ABC-1", "beta")
    usher.wait(usher.runs, "a command runs")
    (guard,) = [
        child
        for child in psutil.Process(usher.running["deploys"].pid).children()
        if any(argument.endswith("guard.py") for argument in child.cmdline())
    ]
    guard.kill()
    usher.wait(lambda: len(usher.runs()) == 2, "it is deployed again")
    usher.verify()


def test_no_message_is_lost_if_the_journal_is_deleted_while_everything_is_down(
    make_programs: MakePrograms, broker: Broker, vhost_url: str
) -> None:
    usher = make_programs(WINDOW__QUIET="5s", WINDOW__CAP="10s")
    usher.start(*SERVICES)
    storm(usher, range(10))
    usher.kill(*SERVICES)
    journal = f"{broker.console}/api/queues/{vhost_url.rpartition('/')[2]}/{topology.JOURNAL}"
    httpx.delete(journal, auth=broker.credentials, timeout=30).raise_for_status()
    usher.start(*SERVICES)
    usher.wait(lambda: not usher.missed(), "everything accepted is deployed", 90)
    assert usher.overlaps() == []


def test_an_orderly_stop_leaves_no_process_and_interrupted_deploys_run_again(make_programs: MakePrograms) -> None:
    usher = make_programs(seconds=5)
    usher.start(*SERVICES)
    usher.send("ABC-1", "beta")
    usher.wait(usher.runs, "a command runs")
    usher.kill("deploys", number=signal.SIGTERM)
    mine = str(usher.notes.path)
    assert [p for p in psutil.process_iter(["cmdline"]) if mine in (p.info["cmdline"] or [])] == []
    usher.start("deploys")
    usher.verify()
    assert "may still be running" not in usher.log("deploys")
    assert "has not reported its end" not in usher.log("deploys")
