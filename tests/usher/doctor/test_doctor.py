"""The doctor reports each fault and how to fix it. The faults are created on a real broker."""

import asyncio
import json
import os
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest
from yarl import URL

from lines import Proxy
from usher.broker import topology
from usher.broker.link import Link, connect
from usher.broker.publisher import Publisher
from usher.core.events import encode
from usher.core.issues import Issue
from usher.core.messages import BackMessage
from usher.doctor import Finding, Verdict, examine
from usher.doctor.console import look_at_console
from usher.local.choose import Broker, running_in
from usher.runtime.addresses import join
from usher.settings import Settings, load

BETA = "beta.abc.wwts.com"


def until(true: Callable[[], bool], *, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.2)


class Patient:
    """The settings and the vhost of an Usher, for tests that break them. Its services don't run."""

    def __init__(self, broker: Broker, vhost_url: str) -> None:
        self.environ = {
            "USHER_BROKER__URL": vhost_url,
            **{f"USHER_{service}__PORT": str(n) for n, service in enumerate(("TRACKERS", "DEPLOYS", "SUCCESSES"), 1)},
        }
        self.console = httpx.Client(base_url=broker.console, auth=broker.credentials, timeout=30)
        self.vhost = quote(URL(vhost_url).path[1:], safe="")

    @property
    def settings(self) -> Settings:
        return load(self.environ)

    def declare(self) -> None:
        async def declare(link: Link, publisher: Publisher) -> None:
            await topology.declare(link, self.settings.catalogue, self.settings.retries.every_delay)

        self._on_broker(declare)

    def publish(self, *keys: str, park: bool = False) -> None:
        async def publish(link: Link, publisher: Publisher) -> None:
            for key in keys:
                message = BackMessage.of(Issue.parse(key), self.settings.catalogue.named(BETA), source="api", now=1)
                if park:
                    await publisher.park(encode(message), message.id, "exit code 1")
                else:
                    await publisher.message(message)

        self._on_broker(publish)

    def park(self, body: bytes, message_id: str) -> None:
        async def park(link: Link, publisher: Publisher) -> None:
            await publisher.park(body, message_id, "unreadable")

        self._on_broker(park)

    def _on_broker(self, act: Callable[[Link, Publisher], Awaitable[None]]) -> None:
        async def run() -> None:
            async with connect(self.settings.broker, "tests") as link:
                await act(link, await Publisher.open(link, "tests"))

        asyncio.run(run())

    def delete(self, queue: str) -> None:
        self.console.delete(f"/api/queues/{self.vhost}/{queue}").raise_for_status()

    def findings(self) -> dict[str, Finding]:
        """The doctor's findings by subject, without the services, which don't run."""
        found = {finding.about: finding for finding in examine(self.environ)}
        return {about: finding for about, finding in found.items() if about not in ("trackers", "deploys", "successes")}

    def faults(self) -> dict[str, Finding]:
        return {about: found for about, found in self.findings().items() if found.verdict is Verdict.FAULT}


@pytest.fixture
def patient(broker: Broker, vhost_url: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Patient]:
    # the doctor assumes the default port of the console, which the tests' broker may not have
    monkeypatch.setattr("usher.doctor.console_of", lambda url: broker.console)
    made = Patient(broker, vhost_url)
    yield made
    made.console.close()


def test_a_healthy_usher_has_no_faults(patient: Patient) -> None:
    patient.declare()
    found = patient.findings()
    assert patient.faults() == {}
    assert found["settings"].says.startswith("from the built-in example and USHER_BROKER__URL and")
    assert "RabbitMQ" in found["broker"].says
    assert found["queues"].says.startswith("all 15 exist")
    assert found["policies"].verdict is Verdict.OK
    assert "guest:guest" not in str(found)


def test_a_broker_without_usher_s_queues_is_one_fault(patient: Patient) -> None:
    assert {about: found.says for about, found in patient.faults().items()} == {
        "queues": "Usher's queues do not exist yet"
    }


def test_a_deleted_server_queue_is_reported_with_its_unrouted_messages(patient: Patient) -> None:
    patient.declare()
    patient.delete(topology.server_queue(BETA))
    patient.publish("ABC-111", "ABC-112")
    faults = patient.faults()
    assert sorted(faults) == sorted([topology.server_queue(BETA), topology.UNROUTED])
    assert "restart deploys" in faults[topology.server_queue(BETA)].do
    assert faults[topology.UNROUTED].says == (f"2 messages found no server queue: ABC-111 to {BETA}; ABC-112 to {BETA}")
    assert "send these issues again" in faults[topology.UNROUTED].do


def test_a_missing_retry_queue_is_reported(patient: Patient) -> None:
    patient.declare()
    patient.delete(topology.retry_queue(300_000))
    assert list(patient.faults()) == ["usher.retry.5m"]


def test_the_doctor_changes_nothing(patient: Patient) -> None:
    patient.declare()
    patient.delete(topology.server_queue(BETA))
    patient.publish("ABC-111", "ABC-112")
    first = patient.faults()
    assert [patient.faults() for _ in range(3)] == [first] * 3


def test_parked_messages_are_ok_and_the_doctor_says_where_to_find_the_reason(patient: Patient) -> None:
    patient.declare()
    patient.publish("ABC-7", park=True)
    found = patient.findings()[topology.PARKED]
    assert patient.faults() == {}
    assert f"1 message of deploys that failed for the last time: ABC-7 to {BETA}." in found.says
    assert "`usher show ABC-7` says why" in found.says


def test_a_foreign_message_that_is_parked_is_a_fault(patient: Patient) -> None:
    patient.declare()
    for number in range(12):
        patient.publish(f"ABC-{number + 1}", park=True)
    patient.park(b"what?", "0" * 32)
    found = patient.faults()[topology.PARKED]
    assert found.says == f"1 of 13 messages cannot be read: {'0' * 32} (unreadable)"
    assert "`usher parked` lists everything" in found.do


@pytest.mark.slow  # the console updates its counts every five seconds
def test_the_queue_of_a_former_server_is_reported_with_its_message_count(patient: Patient) -> None:
    patient.declare()
    patient.publish("ABC-7")
    patient.environ["USHER_SERVERS__NAME"] = "{status}.{project}.example.com"
    patient.declare()

    def found() -> bool:
        former = patient.faults().get("former servers")
        return former is not None and f"usher.server.{BETA} (1 message)" in former.says

    # the management console updates its counts every five seconds
    until(found, seconds=20)
    assert "usher.server.test.abc.wwts.com" not in patient.faults()["former servers"].says
    harmless = patient.findings()["empty queues"]
    assert (harmless.verdict, harmless.do) == (Verdict.OK, None)
    assert "usher.server.test.abc.wwts.com" in harmless.says
    assert "harmless. To tidy up, delete them in the management console" in harmless.says
    assert "example.com" not in patient.faults()["former servers"].says + harmless.says
    assert "restore the old name in [servers] name" in patient.faults()["former servers"].do


def test_a_queue_with_wrong_arguments_is_reported(patient: Patient) -> None:
    patient.declare()
    patient.delete(topology.PARKED)
    body = {"durable": True, "arguments": {"x-queue-type": "classic"}}
    patient.console.put(f"/api/queues/{patient.vhost}/{topology.PARKED}", json=body).raise_for_status()
    found = patient.faults()[topology.PARKED]
    assert "different arguments" in found.says
    assert "delete it in the management console" in found.do


@pytest.mark.parametrize(
    ("kind", "pattern", "definition", "loses"),
    [
        ("policies", r"^usher\.", {"max-length": 10}, True),
        ("policies", ".*", {"expires": 1_800_000}, True),
        ("policies", r"^usher\.", {"delivery-limit": 20}, True),
        ("policies", r"^other\.", {"max-length": 10}, False),
        ("policies", r"^usher\.", {"queue-leader-locator": "balanced"}, False),
        ("operator-policies", r"^usher\.", {"message-ttl": 1000}, True),
        ("operator-policies", r"^other\.", {"message-ttl": 1000}, False),
    ],
)
def test_policies_that_can_lose_messages_are_reported(
    patient: Patient, kind: str, pattern: str, definition: dict[str, object], loses: bool
) -> None:
    patient.declare()
    body = {"pattern": pattern, "definition": definition, "apply-to": "queues"}
    patient.console.put(f"/api/{kind}/{patient.vhost}/short", json=body).raise_for_status()
    faults = patient.faults()
    assert ("policies" in faults) is loses
    if loses:
        assert faults["policies"].says.startswith(f"policy short on {pattern} sets {next(iter(definition))}")
        assert "delete it in the management console" in faults["policies"].do


def test_an_unreachable_console_is_reported_as_unknown(patient: Patient, monkeypatch: pytest.MonkeyPatch) -> None:
    patient.declare()
    monkeypatch.setattr("usher.doctor.console_of", lambda url: "http://127.0.0.1:1")
    found = patient.findings()["policies"]
    assert found.verdict is Verdict.UNKNOWN
    assert "could not check policies" in found.says


def test_before_3_12_the_node_s_consumer_timeout_is_reported(patient: Patient) -> None:
    patient.declare()
    found = patient.findings()
    old = found["broker"].says.startswith("RabbitMQ 3.1")
    assert ("consumer_timeout" in found) is old


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"password": "not-this"}, "wrong user or password"),
        ({"path": "/no-such-vhost"}, "does the vhost exist"),
        ({"port": 1}, "no broker answers"),
    ],
)
def test_a_broker_that_refuses_the_connection_is_one_fault(
    patient: Patient, change: dict[str, str | int], says: str
) -> None:
    url = URL(patient.environ["USHER_BROKER__URL"])
    for part, value in change.items():
        url = getattr(url, f"with_{part}")(value)
    patient.environ["USHER_BROKER__URL"] = str(url)
    faults = patient.faults()
    assert list(faults) == ["broker"]
    assert says in faults["broker"].says
    assert str(url.password) not in faults["broker"].says.replace(f"{url.user}@", "")


def test_a_broker_and_its_console_are_reached_over_ipv6(
    patient: Patient, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    patient.declare()
    console, amqp = URL(broker.console), URL(patient.environ["USHER_BROKER__URL"])
    with (
        closing(Proxy((str(amqp.host), int(amqp.port or 5672)), "::1")) as near_amqp,
        closing(Proxy((str(console.host), int(console.port or 15672)), "::1")) as near_console,
    ):
        monkeypatch.setattr("usher.doctor.console_of", lambda url: f"http://{join('::1', near_console.port)}")
        patient.environ["USHER_BROKER__URL"] = str(amqp.with_host("::1").with_port(near_amqp.port))
        found = patient.findings()
    assert f"answers at {amqp.user}@[::1]:{near_amqp.port}/" in found["broker"].says
    assert (found["queues"].verdict, found["policies"].verdict) == (Verdict.OK, Verdict.OK)


def test_a_console_whose_port_does_not_exist_is_reported_as_unknown(patient: Patient) -> None:
    patient.declare()
    amqp = URL(patient.environ["USHER_BROKER__URL"])
    settings, console = patient.settings, "http://[::1]:70000"
    found = look_at_console(Broker(str(amqp), console, "a test"), settings)
    assert [finding.verdict for finding in found] == [Verdict.UNKNOWN]
    assert console in found[0].says


def test_without_a_broker_the_doctor_says_to_start_usher_up(folder: Path) -> None:
    found = next(finding for finding in examine({}) if finding.about == "broker")
    assert (found.verdict, "start `usher up` here" in found.do) == (Verdict.UNKNOWN, True)


def test_the_broker_of_usher_up_is_found_through_its_folder(patient: Patient, broker: Broker) -> None:
    patient.declare()
    data = Path(".usher/broker")
    data.mkdir(parents=True)
    (data / "addresses").write_text(f"{patient.environ.pop('USHER_BROKER__URL')}\n{broker.console}\n")
    assert running_in(data).console == broker.console
    found = patient.findings()
    assert "`usher up` runs" in found["broker"].says
    assert found["queues"].verdict is Verdict.OK
    assert "consumer_timeout" not in found


@pytest.mark.parametrize(
    ("command", "cwd", "says"),
    [
        (f'["{sys.executable}", "-V"]', ".", None),
        ('["no-such-program", "{server}"]', ".", "there is no program no-such-program"),
        (f'["{sys.executable}"]', "nowhere", "there is no directory nowhere"),
    ],
)
def test_the_command_s_program_must_exist(folder: Path, command: str, cwd: str, says: str | None) -> None:
    findings = examine({"USHER_DEPLOYS__COMMAND": command, "USHER_DEPLOYS__CWD": cwd})
    (found,) = [finding for finding in findings if finding.about == "command"]
    assert (found.verdict is Verdict.FAULT) is (says is not None)
    assert (says or "exists") in found.says


def test_invalid_settings_are_the_only_finding(folder: Path) -> None:
    found = examine({"USHER_WINDOW__QIUET": "1s"})
    assert [(finding.about, finding.verdict) for finding in found] == [("settings", Verdict.FAULT)]
    assert "did you mean USHER_WINDOW__QUIET" in found[0].says


@pytest.mark.slow
@pytest.mark.usefixtures("running")
def test_a_running_usher_has_no_faults(usher) -> None:
    result = usher("doctor")
    assert (result.code, result.err) == (0, "")
    assert "No faults found." in result.out
    assert "successes: ready at http://127.0.0.1" in result.out
    assert json.loads(usher("doctor", "--json").out)["ok"] is True


@pytest.mark.usefixtures("running")
def test_settings_changed_after_the_services_started_are_reported_and_are_not_a_fault(usher, folder: Path) -> None:
    file = folder / "usher.toml"
    file.write_text("[projects.abc]\n[projects.def]\nstatuses = ['test', 'beta']\n")
    result = usher("doctor")
    assert result.code == 0
    assert "usher.toml: it was changed after trackers, deploys, successes started: they still use the old" in result.out
    os.utime(file, (0, 0))
    assert "it was changed after" not in usher("doctor").out


@pytest.mark.usefixtures("running")
@pytest.mark.parametrize(
    ("added", "says"),
    [
        ("[projects.new]", "successes does not know beta.new.wwts.com, stage.new.wwts.com, test.new.wwts.com"),
        ("[projects.def]", "successes still has stage.abc.wwts.com"),
        ('[projects.abc]\n[projects.def]\nstatuses = ["test", "beta"]\n[retries]\ndelays = ["7m"]', "usher.retry.7m"),
    ],
)
def test_settings_that_the_services_have_not_read_are_the_first_and_only_fault(
    usher, folder: Path, added: str, says: str
) -> None:
    others = '[projects.abc]\nstatuses = ["test", "beta"]\n' if "abc" not in added else ""
    (folder / "usher.toml").write_text(f"{others}{added}\n")
    result = usher("doctor")
    first, do, *_ = result.out.splitlines()
    assert first.startswith("FAULT  usher.toml: the running services use other settings: it was changed after trackers")
    assert says in first
    assert "restart the services" in do
    assert (result.code, result.out.splitlines()[-1]) == (1, "1 fault.")
    assert json.loads(usher("doctor", "--json").out)["findings"][0]["about"] == "usher.toml"


def test_several_missing_queues_are_one_fault(patient: Patient) -> None:
    patient.declare()
    for status in ("beta", "test"):
        patient.delete(topology.server_queue(f"{status}.def.wwts.com"))
    faults = patient.faults()
    assert list(faults) == ["queues"]
    names = "usher.server.beta.def.wwts.com, usher.server.test.def.wwts.com"
    assert faults["queues"].says == f"2 queues are missing: {names}"


@pytest.mark.usefixtures("running")
@pytest.mark.parametrize(
    ("variables", "warnings"),
    [
        ({}, []),
        ({"TRACKERS__HOST": "0.0.0.0"}, ["can reach 0.0.0.0"]),
        ({"TRACKERS__HOST": "0.0.0.0", "SUCCESSES__HOST": ""}, ["no [jira] secret", "withdraw, retry and drop issues"]),
        ({"TRACKERS__HOST": "0.0.0.0", "JIRA__SECRET": "hunter2"}, ["`POST /messages`, which needs no signature"]),
    ],
)
def test_what_other_machines_can_do_is_a_warning_and_the_first_of_them(
    usher, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], warnings: list[str]
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(f"USHER_{name}", value)
    result = usher("doctor")
    shown = [line for line in result.out.splitlines() if line.startswith(" WARN  exposure: anybody who can reach ")]
    assert [says in line for says, line in zip(warnings, shown, strict=True)] == [True] * len(warnings)
    assert result.out.splitlines()[0] == (shown[0] if shown else result.out.splitlines()[0])
    assert result.code == 0
    found = f"No faults found, {len(warnings)} warning{'s' * (len(warnings) > 1)}." if warnings else "No faults found."
    assert result.out.splitlines()[-1] == found
    verdicts = [finding["verdict"] for finding in json.loads(usher("doctor", "--json").out)["findings"]]
    assert verdicts.count("warning") == len(warnings)


@pytest.mark.usefixtures("running")
@pytest.mark.parametrize("service", ["trackers", "deploys", "successes"])
def test_in_a_container_only_its_own_service_and_command_are_checked(
    usher, monkeypatch: pytest.MonkeyPatch, service: str
) -> None:
    # in a container, only one service is installed, and the others answer at other addresses
    monkeypatch.setattr("usher.doctor.here.importlib.util.find_spec", lambda name: name if name == service else None)
    monkeypatch.setenv("USHER_DEPLOYS__COMMAND", '["no-such-program", "{server}"]')
    for other in {"TRACKERS", "DEPLOYS", "SUCCESSES"} - {service.upper()}:
        monkeypatch.setenv(f"USHER_{other}__PORT", "1")
        monkeypatch.setenv(f"USHER_{other}__HOST", "other.invalid")
    found = {finding["about"]: finding for finding in json.loads(usher("doctor", "--json").out)["findings"]}
    assert {"trackers", "deploys", "successes"} & set(found) == {service}
    assert found[service]["verdict"] == "ok"
    faults = [about for about, finding in found.items() if finding["verdict"] in ("fault", "warning")]
    assert faults == (["command"] if service == "deploys" else [])


@pytest.mark.usefixtures("nobody_answers")
def test_the_exit_code_is_1_if_there_is_a_fault(usher) -> None:
    result = usher("doctor")
    assert result.code == 1
    assert "nothing answers at http://127.0.0.1:1 (trackers); start it with `usher up`" in result.out
    data = json.loads(usher("doctor", "--json").out)
    assert (data["ok"], [f["about"] for f in data["findings"] if f["verdict"] == "fault"]) == (
        False,
        ["trackers", "deploys", "successes"],
    )
