"""Killing the real programs in mid-storm and mid-deploy: nothing is lost, and no server has two commands at once."""

import signal
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import httpx
import psutil
import pytest
from yarl import URL

from usher.broker import topology
from usher.broker.choose import Broker

if TYPE_CHECKING:
    from conftest import Programs

pytestmark = pytest.mark.slow


def tell_through(usher: "Programs", told: dict[tuple[str, str], float], numbers: range) -> None:
    """Tell moves of two servers, some issues again and again; a door that is away is tried again, as Jira does."""
    for number in numbers:
        for status in ("beta", "test"):
            issue = f"ABC-{number % 7 + 1}"
            try:
                told[f"{status}.abc.wwts.com", issue] = usher.tell(issue, status)
            except httpx.TransportError:
                continue


@pytest.mark.parametrize("victim", ["trackers", "deploys", "successes"])
def test_a_service_that_is_killed_in_mid_storm_loses_nothing(
    make_programs: "Callable[..., Programs]", victim: str
) -> None:
    usher, told = make_programs(seconds=2), {}
    usher.start("trackers", "deploys", "successes")
    tell_through(usher, told, range(10))
    usher.wait(lambda: usher.runs(), "a command runs")
    tell_through(usher, told, range(10, 15))
    usher.kill(victim)
    if victim != "trackers":
        tell_through(usher, told, range(15, 25))
    usher.start(victim)
    tell_through(usher, told, range(25, 30))
    usher.wait(lambda: not usher.missed(told), "everything told is deployed", 90)
    usher.wait(
        lambda: (
            usher.get("successes", "/api/messages?state=waiting")["total"] == 0
            and usher.get("successes", "/api/messages?state=deploying")["total"] == 0
        ),
        "the ledger knows it",
    )
    assert usher.overlaps() == []


def test_a_deploys_that_is_frozen_has_its_command_stopped_and_goes_on_when_it_wakes(
    make_programs: "Callable[..., Programs]",
) -> None:
    usher = make_programs(seconds=30)
    usher.start("trackers", "deploys", "successes")
    told = {("beta.abc.wwts.com", "ABC-1"): usher.tell("ABC-1", "beta")}
    usher.wait(lambda: usher.runs(), "a command runs")
    frozen = usher.running["deploys"]
    frozen.send_signal(signal.SIGSTOP)
    usher.wait(lambda: time.time() - usher.runs()[0].alive > 2, "its command has been stopped")
    frozen.send_signal(signal.SIGCONT)
    usher.wait(lambda: len(usher.runs()) == 2, "it is deployed again", 60)
    usher.wait(lambda: not usher.missed(told), "to its end", 60)
    assert usher.overlaps() == []


def test_a_second_deploys_takes_over_from_one_that_is_killed(make_programs: "Callable[..., Programs]") -> None:
    usher, other = make_programs(seconds=4), make_programs(seconds=4)
    usher.start("trackers", "deploys", "successes")
    other.starts = 100
    other.start("deploys")
    told: dict[tuple[str, str], float] = {}
    tell_through(usher, told, range(5))
    usher.wait(lambda: usher.runs(), "a command runs")
    usher.kill("deploys")
    usher.wait(lambda: not usher.missed(told), "the other one has deployed everything", 90)
    assert usher.overlaps() == []


def test_a_second_deploys_waits_until_a_long_command_of_one_that_is_killed_must_be_dead(
    make_programs: "Callable[..., Programs]",
) -> None:
    """The taking is older than the take-over wait, and its command ignores TERM: only the KILL ends it."""
    usher = make_programs(seconds=60, stubborn=True, DEPLOYS__GRACE="4s")
    other = make_programs(seconds=1, DEPLOYS__GRACE="4s")
    usher.start("trackers", "deploys", "successes")
    told = {("beta.abc.wwts.com", "ABC-1"): usher.tell("ABC-1", "beta")}
    usher.wait(lambda: usher.runs(), "a command runs")
    other.starts = 100
    other.start("deploys")
    usher.wait(lambda: usher.runs()[0].alive - usher.runs()[0].begin > 19, "it has run for longer than the wait")
    usher.kill("deploys")
    usher.wait(lambda: not usher.missed(told), "the other one has deployed it", 60)
    assert usher.overlaps() == []
    assert other.log("deploys").count("has no end yet") == 1


def test_a_line_that_goes_silent_is_given_up_and_connected_again(
    make_programs: "Callable[..., Programs]", proxy: Any, vhost_url: str
) -> None:
    usher = make_programs(seconds=30)
    far = make_programs(seconds=1, BROKER__URL=str(URL(vhost_url).with_host("127.0.0.1").with_port(proxy.port)))
    usher.start("trackers", "successes")
    far.starts = 100
    far.start("deploys")
    proxy.silence()
    usher.wait(lambda: "connecting again" in far.log("deploys"), "the silence is noticed")
    proxy.mend()
    told = {("beta.abc.wwts.com", "ABC-1"): usher.tell("ABC-1", "beta")}
    usher.wait(lambda: not usher.missed(told), "it is deployed", 60)
    assert far.running["deploys"].poll() is None
    assert "Traceback" not in far.log("deploys")


def test_a_journal_deleted_while_everything_is_down_loses_no_message(
    make_programs: "Callable[..., Programs]", broker: Broker, vhost_url: str
) -> None:
    usher, told = make_programs(WINDOW__QUIET="5s", WINDOW__CAP="10s"), dict[tuple[str, str], float]()
    usher.start("trackers", "deploys", "successes")
    tell_through(usher, told, range(10))
    for name in ("deploys", "trackers", "successes"):
        usher.kill(name)
    journal = f"{broker.console}/api/queues/{vhost_url.rpartition('/')[2]}/{topology.JOURNAL}"
    httpx.delete(journal, auth=broker.credentials, timeout=30).raise_for_status()
    usher.start("trackers", "deploys", "successes")
    usher.wait(lambda: not usher.missed(told), "everything told is deployed", 90)
    assert usher.overlaps() == []


def test_orderly_stopping_leaves_no_process_and_what_was_cut_comes_back(
    make_programs: "Callable[..., Programs]",
) -> None:
    usher = make_programs(seconds=5)
    usher.start("trackers", "deploys", "successes")
    told = {("beta.abc.wwts.com", "ABC-1"): usher.tell("ABC-1", "beta")}
    usher.wait(lambda: usher.runs(), "a command runs")
    usher.kill("deploys", signal.SIGTERM)
    mine = str(usher.folder)
    assert [p for p in psutil.process_iter(["cmdline"]) if f"{mine}/notes" in (p.info["cmdline"] or [])] == []
    usher.start("deploys")
    usher.wait(lambda: not usher.missed(told), "it is deployed")
    assert "may still run" not in usher.log("deploys")
    assert "has no end yet" not in usher.log("deploys")
    assert usher.overlaps() == []
