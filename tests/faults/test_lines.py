"""A connection between two parts is cut, slow, silent, or closed on one side: nothing is lost or duplicated."""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from faults.storms import SERVICES, storm
from lines import Proxy, through

if TYPE_CHECKING:
    from conftest import Programs

pytestmark = [pytest.mark.slow, pytest.mark.long, pytest.mark.programs]

FAULTS: dict[str, Callable[[Proxy], None]] = {
    "is cut": lambda line: line.cut(),
    "goes silent": lambda line: line.silence(),
    "is closed only towards the service": lambda line: line.half_close("near"),
    "is closed only towards the other part": lambda line: line.half_close("far"),
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("victim", SERVICES)
def test_a_broken_broker_connection_during_a_deploy_loses_and_duplicates_nothing(
    make_programs: "Callable[..., Programs]", proxy: Proxy, vhost_url: str, victim: str, fault: str
) -> None:
    usher = make_programs(seconds=4)
    usher.start(*(service for service in SERVICES if service != victim))
    usher.start(victim, BROKER__URL=through(proxy, vhost_url))
    begun = len(usher.log(victim))
    storm(usher, range(10))
    usher.wait(usher.runs, "a command runs")
    FAULTS[fault](proxy)
    usher.wait(lambda: "connecting again" in usher.log(victim)[begun:], "it is noticed")
    proxy.restore()
    usher.wait(lambda: httpx.get(usher.url(victim) + "/ready", timeout=20).status_code == 200, "it is ready again")
    storm(usher, range(10, 15))
    usher.verify(120)
    assert "Traceback" not in usher.log(victim)


@pytest.mark.parametrize("fault", [fault for fault in FAULTS if fault != "goes silent"])
def test_a_broken_postgresql_connection_stops_no_deploy_and_the_ledger_is_complete_afterwards(
    make_programs: "Callable[..., Programs]", make_proxy: Callable[[str], Proxy], postgres_url: str, fault: str
) -> None:
    line = make_proxy(postgres_url)
    usher = make_programs(seconds=1, SUCCESSES__LEDGER=through(line, postgres_url))
    usher.start(*SERVICES)
    storm(usher, range(5))
    usher.wait(usher.runs, "a command runs")
    FAULTS[fault](line)
    storm(usher, range(5, 10))
    usher.wait(lambda: not usher.missed(), "everything is deployed without a ledger")
    line.restore()
    usher.verify(120)
    assert "Traceback" not in usher.log("successes")


def test_a_slow_broker_connection_costs_only_time(
    make_programs: "Callable[..., Programs]", proxy: Proxy, vhost_url: str
) -> None:
    usher = make_programs(seconds=1, BROKER__URL=through(proxy, vhost_url), BROKER__HEARTBEAT="2s")
    usher.start(*SERVICES)
    proxy.delay(0.3)
    storm(usher, range(5))
    usher.wait(usher.runs, "a command runs")
    storm(usher, range(5, 8))
    usher.verify(180)
    assert all("connecting again" not in usher.log(service) for service in SERVICES)


def test_a_server_is_not_deployed_twice_at_once_while_the_old_holder_has_not_noticed_its_loss(
    make_programs: "Callable[..., Programs]", proxy: Proxy, vhost_url: str
) -> None:
    """The broker sees that the connection is closed, but the holder does not. Until it does, its command continues."""
    usher = make_programs()
    other = make_programs(fellow=usher)
    usher.start("trackers", "successes")
    usher.start("deploys", BROKER__URL=through(proxy, vhost_url))
    hold = usher.hold()
    usher.send("ABC-1", "beta")
    usher.wait(usher.runs, "a command runs")
    other.start("deploys")
    usher.wait(lambda: usher.runs()[0].alive - usher.runs()[0].begin > 16, "it has run for longer than the wait")
    proxy.half_close("far")
    usher.wait(
        lambda: "has not reported its end" in other.log("deploys") or usher.overlaps(), "the other one has the turn"
    )
    assert usher.overlaps() == []
    assert usher.runs()[0].alive > time.time() - 1, "the command is still running"
    usher.wait(lambda: time.time() - usher.runs()[0].alive > 2, "it is stopped when its holder notices")
    hold.unlink()
    history = usher.verify()
    assert len(history.runs) == 2


def test_a_lost_answer_to_jira_does_not_create_a_second_message(
    make_programs: "Callable[..., Programs]", make_proxy: Callable[[str], Proxy]
) -> None:
    usher = make_programs()
    usher.start(*SERVICES)
    line = make_proxy(usher.url("trackers"))
    webhook: dict[str, Any] = {
        "webhookEvent": "jira:issue_updated",
        "issue": {"id": "1", "key": "ABC-1"},
        "changelog": {"id": "7", "items": [{"field": "status", "fieldId": "status", "to": "9", "toString": "Beta"}]},
    }
    line.delay(3)
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(f"http://127.0.0.1:{line.port}/webhooks/jira", json=webhook, timeout=4)
    line.restore()
    answer = httpx.post(f"http://127.0.0.1:{line.port}/webhooks/jira", json=webhook, timeout=20).raise_for_status()
    assert answer.json()["outcome"] == "accepted"

    def ended() -> bool:
        return usher.get("successes", "/api/deploys?outcome=passed")["total"] == 1

    usher.wait(ended, "it is deployed")
    history = usher.verify()
    assert [(message["state"], message["received"]) for message in history.messages] == [("deployed", 2)]
    assert len(history.runs) == 1
