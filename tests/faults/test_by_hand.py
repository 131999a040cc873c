"""What people do to the broker by hand: messages from the console, a deleted queue, imported policies."""

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from faults.containers import Container
from faults.storms import SERVICES, storm
from usher.broker import topology

if TYPE_CHECKING:
    from conftest import Programs

pytestmark = [pytest.mark.slow, pytest.mark.programs]

MakePrograms = Callable[..., "Programs"]

BETA = "beta.abc.wwts.com"


def publish(container: Container, exchange: str, key: str, payload: str, message_id: str) -> None:
    """Publish as "Publish message" in the console does."""
    request = {
        "properties": {"message_id": message_id, "delivery_mode": 2},
        "routing_key": key,
        "payload": payload,
        "payload_encoding": "string",
    }
    answer = container.console("POST", f"exchanges/{container.vhost}/{exchange}/publish", request)
    assert answer == {"routed": True}


def import_policy(container: Container, pattern: str, **definition: int) -> None:
    """Import a policy as "Import definitions" in the console does."""
    policy = {"name": "imported", "pattern": pattern, "apply-to": "queues", "priority": 1, "definition": definition}
    container.console("POST", f"definitions/{container.vhost}", {"policies": [policy]})


def doctor(usher: "Programs") -> dict[str, Any]:
    """The findings of `usher doctor`, by subject."""
    command = [sys.executable, "-m", "usher", "doctor", "--json"]
    done = subprocess.run(command, env=usher.environment, cwd=usher.folder, capture_output=True, text=True, check=False)
    return {finding["about"]: finding for finding in json.loads(done.stdout)["findings"]}


@pytest.mark.parametrize("payload", ["oh no", '{"kind": "message", "v": 1}', "[" * 100_000])
def test_a_malformed_message_from_the_console_is_parked_and_blocks_no_turn_and_no_result(
    container: Container, make_programs: MakePrograms, payload: str
) -> None:
    usher = make_programs(broker=container.broker)
    usher.start(*SERVICES)
    publish(container, topology.MESSAGES, "beta.abc", payload, "into-the-door")
    publish(container, topology.RESULTS, "", payload, "into-the-results")
    publish(container, topology.RETURNS, "", payload, "into-the-returns")
    publish(container, topology.FACTS, "deploy.taken", payload, "into-the-journal")
    storm(usher, range(3))
    usher.wait(lambda: not usher.missed(), "everything accepted is deployed")
    parked = {"into-the-door", "into-the-results", "into-the-returns"}
    usher.wait(lambda: usher.places.parked() == parked, "each of them is parked once, for a person to see")
    usher.kill(*SERVICES)
    usher.start(*SERVICES)
    storm(usher, range(3, 5))
    usher.wait(lambda: not usher.missed(), "everything is deployed after a restart, which reads the journal again")
    assert usher.overlaps() == []
    assert usher.places.parked() == parked


def test_deleting_a_queue_during_a_deploy_stops_the_command_and_its_messages_are_re_published(
    container: Container, make_programs: MakePrograms
) -> None:
    usher = make_programs(broker=container.broker, SUCCESSES__SWEEP="2s")
    usher.start(*SERVICES)
    hold = usher.hold()
    usher.send("ABC-1", "beta")
    usher.wait(usher.runs, "a command runs")
    usher.send("ABC-2", "beta")
    container.console("DELETE", f"queues/{container.vhost}/{topology.server_queue(BETA)}")
    usher.wait(lambda: "the turn was lost" in reasons(usher), "its turn is lost")
    assert not usher.runs()[0].ended
    hold.unlink()
    usher.send("ABC-3", "beta")
    usher.kill("deploys")
    usher.start("deploys")  # which declares the queue again, as the doctor advises
    usher.wait(lambda: not usher.missed(), "the messages of the queue are re-published from the journal", 90)
    assert usher.overlaps() == []


def test_the_doctor_names_policies_that_lose_messages_and_dropped_messages_are_re_published(
    container: Container, make_programs: MakePrograms
) -> None:
    usher = make_programs(broker=container.broker, plan={"forbidden": "ABC-9"}, SUCCESSES__SWEEP="2s")
    usher.start(*SERVICES)
    parked = usher.send("ABC-9", "stage")
    usher.wait(lambda: usher.places.parked() == {parked.id}, "one is parked")
    usher.kill("deploys", number=signal.SIGTERM)
    import_policy(container, r"^usher\.", **{"message-ttl": 500, "max-length": 50})
    storm(usher, range(7))
    finding = doctor(usher)["policies"]
    assert finding["verdict"] == "fault"
    assert all(key in finding["says"] for key in ("message-ttl", "max-length"))
    usher.wait(lambda: waiting(usher) == {0}, "the broker has dropped the waiting messages")
    usher.start("deploys")
    usher.wait(lambda: usher.missed() == {(parked.server, parked.issue)}, "everything is deployed")
    container.console("DELETE", f"policies/{container.vhost}/imported")
    usher.wait(lambda: not unsettled(usher), "every message is settled", 90)
    assert usher.overlaps() == []
    states = {row["issue"]: row["state"] for row in usher.places.rows("messages") if row["state"] != "superseded"}
    assert states == {"ABC-9": "parked", **{f"ABC-{n}": "deployed" for n in range(1, 8)}}


def test_the_doctor_names_a_policy_that_removes_consumers_and_nothing_is_deployed_twice_at_once(
    container: Container, make_programs: MakePrograms
) -> None:
    """The consumer time-out: the broker takes a turn away that lasts longer."""
    usher = make_programs(broker=container.broker)
    usher.start(*SERVICES)
    hold = usher.hold()
    usher.send("ABC-1", "beta")
    usher.wait(usher.runs, "a command runs")
    import_policy(container, r"^usher\.server\.", **{"consumer-timeout": 3000})
    usher.wait(lambda: "the turn was lost" in reasons(usher), "the broker takes the turn away", 90)
    finding = doctor(usher)["policies"]
    assert finding["verdict"] == "fault"
    assert "consumer-timeout" in finding["says"]
    container.console("DELETE", f"policies/{container.vhost}/imported")
    hold.unlink()
    history = usher.verify(120)
    assert not history.runs[0].ended


def reasons(usher: "Programs") -> str:
    """The reasons of all deploys."""
    return " ".join(str(deploy["reason"]) for deploy in usher.places.rows("deploys"))


def unsettled(usher: "Programs") -> list[dict[str, Any]]:
    return [row for row in usher.places.rows("messages") if row["state"] not in ("deployed", "superseded", "parked")]


def waiting(usher: "Programs") -> set[int | None]:
    """The counts of the server queues; None for a queue that the console has not counted yet."""
    queues = usher.places.queues().items()
    return {queue.get("messages") for name, queue in queues if name.startswith("usher.server.")}
