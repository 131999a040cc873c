"""`docker-compose.cluster.yml`: a part of each kind is killed under a steady load, one after the other."""

import itertools
import json
import os
import random
import secrets
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

ROOT = Path(__file__).parents[2]
PASSWORD = secrets.token_hex(16)
EVERY = 0.2  # seconds between two messages
OPEN = {"waiting", "deploying", "failed", "retrying"}
FORBIDDEN = "DEF-13"  # fails for good

COMMAND = f"""
import json, os, sys, time
server, *issues = sys.argv[1:]
deploy = os.environ["USHER_DEPLOY"]
def note(**what):
    with open("/notes/" + deploy, "a") as file:
        file.write(json.dumps({{"at": time.time(), **what}}) + chr(10))
note(server=server, issues=issues)
until = time.monotonic() + 2
while time.monotonic() < until:
    time.sleep(0.1)
    note()
code = 64 if "{FORBIDDEN}" in issues else int(deploy, 16) % 6 == 0
note(code=int(code))
sys.exit(code)
"""

SETTINGS = f"""
[broker]
heartbeat = "2s"
[projects.abc]
statuses = ["test", "beta"]
[projects.def]
statuses = ["test", "beta"]
[deploys]
command = ["python", "-c", {json.dumps(COMMAND)}, "{{server}}", "{{issues}}"]
silence = "3s"
grace = "2s"
[window]
quiet = "1s"
cap = "2s"
floor = "0s"
[retries]
delays = ["1s", "2s"]
"""

pytestmark = [pytest.mark.slow, pytest.mark.programs]


@dataclass(frozen=True)
class Run:
    """One run of the command, as it wrote it down itself; `code` is None if it was cut."""

    deploy: str
    server: str
    issues: frozenset[str]
    begin: float
    alive: float
    code: int | None


@dataclass(frozen=True)
class Cluster:
    """The project of docker-compose.cluster.yml, with a name and an address of its own."""

    project: str
    host: str
    folder: Path
    environment: dict[str, str]

    def run(self, *arguments: str) -> str:
        """Run docker compose; gives its output. Raises AssertionError with all that it said if it fails."""
        files = ("--file", "docker-compose.cluster.yml", "--file", str(self.folder / "notes.yml"))
        command = ["docker", "compose", "--project-name", self.project, *files, *arguments]
        done = subprocess.run(command, cwd=ROOT, env=self.environment, capture_output=True, text=True, timeout=600)
        assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def up(self, *names: str) -> None:
        """Start these, all by default, and wait until they are healthy."""
        self.run("up", "--detach", "--no-recreate", "--wait", "--wait-timeout", "180", *names)

    def asked(self, path: str) -> dict[str, object]:
        """What the ledger's API answers."""
        return dict(httpx.get(f"http://{self.host}:8103{path}", timeout=20).raise_for_status().json())

    def listed(self, what: str) -> list[dict[str, object]]:
        """All of that kind in the ledger."""
        rows: list[dict[str, object]] = []
        for page in itertools.count(1):
            items = self.asked(f"/api/{what}?per_page=500&page={page}")["items"]
            assert isinstance(items, list)
            if not items:
                return rows
            rows += items
        raise AssertionError("not reached")

    def queues(self) -> list[dict[str, object]]:
        """What the management console says of each queue."""
        console = f"http://{self.host}:15772/api/queues?disable_stats=true"
        answer = httpx.get(console, auth=("usher", PASSWORD), timeout=20).raise_for_status()
        return list(answer.json())

    def have_all_members(self) -> bool:
        try:
            queues = self.queues()
        except httpx.HTTPError:
            return False
        return len(queues) > 4 and all(len(q["online"]) == len(q["members"]) == 3 for q in queues)  # type: ignore[arg-type]

    def runs(self) -> list[Run]:
        """Every run of the command so far, in the order of their beginnings."""
        found = []
        for path in (self.folder / "notes").iterdir():
            notes = [json.loads(line) for line in path.read_text().split("\n")[:-1]]
            if notes:
                first, last = notes[0], notes[-1]
                issues = frozenset(first["issues"])
                found.append(Run(path.name, first["server"], issues, first["at"], last["at"], last.get("code")))
        return sorted(found, key=lambda run: run.begin)

    def goes_on(self, since: float) -> bool:
        """Whether every server has had a deploy that began after that."""
        return {run.server for run in self.runs() if run.begin > since and run.code is not None} == {
            f"{status}.{project}.wwts.com" for status in ("test", "beta") for project in ("abc", "def")
        }

    def wait(self, true: Callable[[], object], what: str, seconds: float = 60) -> float:
        """Wait for that; gives how long it took (s)."""
        began = time.monotonic()
        while not true():
            assert time.monotonic() - began < seconds, f"not in {seconds} s: {what}\n{self.run('logs', '--tail=40')}"
            time.sleep(0.2)  # the services are asked, they tell nobody
        return time.monotonic() - began


@dataclass
class Load:
    """Front-end messages through the load balancer, five a second; one that is refused is sent again after a second."""

    url: str
    accepted: dict[str, tuple[str, str, float]] = field(default_factory=dict)  # id: server, issue, when (s)
    answers: list[float] = field(default_factory=list)
    refused: Counter[str] = field(default_factory=Counter)
    stop: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        """Until `stop` is set; ends when the last has been accepted."""
        chance = random.Random(7)
        with httpx.Client(timeout=20) as client, ThreadPoolExecutor(30) as senders:
            while not self.stop.wait(EVERY):
                issue = f"{chance.choice(['ABC', 'DEF'])}-{chance.randint(1, 20)}"
                senders.submit(self._tell, client, issue, chance.choice(["test", "beta"]))

    @property
    def longest_gap(self) -> float:
        answers = sorted(self.answers)
        return max(b - a for a, b in itertools.pairwise(answers))

    def _tell(self, client: httpx.Client, issue: str, status: str) -> None:
        for _ in range(60):
            try:
                answer = client.post(self.url, json={"issue_id": issue, "status": status})
            except httpx.TransportError as fault:
                self.refused[type(fault).__name__] += 1
            else:
                if answer.status_code == 201:
                    told = answer.json()
                    self.accepted[told["id"]] = (told["server"], issue, told["queued_at"] / 1000)
                    self.answers.append(time.monotonic())
                    return
                self.refused[str(answer.status_code)] += 1
            time.sleep(1)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """All parts built and healthy; on a loopback address that nobody else uses."""
    folder = tmp_path_factory.mktemp("cluster")
    folder.chmod(0o755)
    (folder / "usher.toml").write_text(SETTINGS)
    (folder / "notes").mkdir()
    (folder / "notes").chmod(0o777)
    mount = {"volumes": [f"{folder / 'notes'}:/notes"]}
    (folder / "notes.yml").write_text(json.dumps({"services": {"deploys-1": mount, "deploys-2": mount}}))
    host = ".".join(["127", *(str(random.randint(2, 250)) for _ in range(3))])
    own = {
        "USHER_BIND": host,
        "USHER_TOML": str(folder / "usher.toml"),
        "RABBITMQ_PASSWORD": PASSWORD,
        "RABBITMQ_COOKIE": secrets.token_hex(16),
        "POSTGRES_PASSWORD": secrets.token_hex(16),
    }
    kept = {name: value for name, value in os.environ.items() if not name.startswith("USHER_")}
    project = Cluster(f"usher-cluster-test-{secrets.token_hex(4)}", host, folder, kept | own)
    project.run("build", "--quiet")
    try:
        project.up()
        yield project
    finally:
        project.run("down", "--volumes", "--timeout", "5")


@pytest.fixture
def load(cluster: Cluster) -> Iterator[Load]:
    load = Load(f"http://{cluster.host}:8101/messages")
    with ThreadPoolExecutor(1) as thread:
        running = thread.submit(load.run)
        yield load
        load.stop.set()
        running.result()


def test_every_queue_and_the_journal_are_on_all_three_nodes(cluster: Cluster) -> None:
    cluster.wait(cluster.have_all_members, "three members of each are online")
    assert {"usher.journal", "usher.results", "usher.server.beta.abc.wwts.com"} <= {q["name"] for q in cluster.queues()}
    leaders = {queue["leader"] for queue in cluster.queues()}
    assert leaders == {"rabbit@broker-1", "rabbit@broker-2", "rabbit@broker-3"}


def test_a_part_of_each_kind_dies_under_load_and_nothing_is_lost_or_doubled(cluster: Cluster, load: Load) -> None:
    took = {"the start": goes_on(cluster)}
    for part in (leading_node, replica_in_mid_deploy, lambda _: "successes-1", lambda _: "trackers-1"):
        name = part(cluster)
        cluster.run("kill", "--signal", "KILL", name)
        took[name] = goes_on(cluster)
        cluster.up("--no-deps", name)
        cluster.wait(cluster.have_all_members, f"three members of each queue are online, {name} being back")
    load.stop.set()
    settled(cluster)
    told, deploys, runs = cluster.listed("messages"), cluster.listed("deploys"), cluster.runs()
    say(load, told, deploys, runs, took)
    firsts = [message for message in told if message["attempt"] == 1]
    assert load.accepted.keys() <= {message["id"] for message in firsts}, "accepted, and not in the ledger"
    # what was not confirmed in time was told to the other trackers, and may have been confirmed late
    answered = {(server, issue) for server, issue, _ in load.accepted.values()}
    assert {(message["server"], message["issue"]) for message in firsts} == answered
    lasts = [message for message in told if message["state"] != "retried"]
    assert len(lasts) == len(firsts), "each message has one last state"
    assert {message["state"] for message in lasts} <= {"deployed", "superseded", "parked"}
    assert overlaps(runs) == []
    assert {d["id"] for d in deploys if d["outcome"] == "passed"} <= {run.deploy for run in runs if run.code == 0}
    assert undeployed(load, runs) <= {(m["server"], m["issue"]) for m in told if m["state"] == "parked"}
    assert len(load.accepted) > 200
    assert load.longest_gap < 20


def goes_on(cluster: Cluster) -> float:
    """Seconds until every server has had a deploy that began after now."""
    now = time.time()
    return cluster.wait(lambda: cluster.goes_on(now), "every server is deployed again", 90)


def leading_node(cluster: Cluster) -> str:
    """The broker that leads the most queues."""
    leaders = Counter(str(queue["leader"]) for queue in cluster.queues())
    return leaders.most_common(1)[0][0].removeprefix("rabbit@")


def replica_in_mid_deploy(cluster: Cluster) -> str:
    """A `deploys` whose command runs at this moment."""
    holders: list[str] = []

    def runs() -> bool:
        servers = cluster.asked("/api/servers")["items"]
        assert isinstance(servers, list)
        holders[:] = [server["running"]["holder"] for server in servers if server["running"]]
        return bool(holders)

    cluster.wait(runs, "a command runs")
    return holders[0].partition("@")[2].partition(":")[0]


def settled(cluster: Cluster) -> None:
    """Wait until no message is in a state that it has to leave."""
    until = time.monotonic() + 90
    while left := [message for message in cluster.listed("messages") if message["state"] in OPEN]:
        assert time.monotonic() < until, f"these have no last state: {left}"
        time.sleep(0.5)  # the services are asked, they tell nobody


def overlaps(runs: list[Run]) -> list[tuple[Run, Run]]:
    """Pairs of runs of one server that were alive at the same time."""
    found = []
    for server in {run.server for run in runs}:
        own = [run for run in runs if run.server == server]
        found += [(a, b) for a, b in itertools.pairwise(own) if b.begin < a.alive]
    return found


def undeployed(load: Load, runs: list[Run]) -> set[tuple[str, str]]:
    """Servers' issues of which no deploy passed that began after their last message."""
    last: dict[tuple[str, str], float] = {}
    for server, issue, at in load.accepted.values():
        last[server, issue] = max(at, last.get((server, issue), 0))
    passed = {(run.server, issue): run.begin for run in runs if run.code == 0 for issue in run.issues}
    return {key for key, at in last.items() if passed.get(key, 0) < at}


def say(
    load: Load,
    told: list[dict[str, object]],
    deploys: list[dict[str, object]],
    runs: list[Run],
    took: dict[str, float],
) -> None:
    """The figures."""
    again = sum(message["attempt"] == 1 for message in told) - len(load.accepted)
    print(f"\naccepted {len(load.accepted)}, and {again} of them twice; refused and sent again {dict(load.refused)}")
    print(f"longest time without an accepted message: {load.longest_gap:.1f} s")
    print(f"messages: {dict(Counter(message['state'] for message in told))}, of {len(told)}")
    print(f"deploys: {dict(Counter(deploy['outcome'] for deploy in deploys))}; commands: {len(runs)}")
    waits = [b.begin - a.begin for server in {r.server for r in runs} for a, b in of_one(runs, server)]
    print(f"longest time of one server without a deploy's beginning: {max(waits):.1f} s")
    for name, seconds in took.items():
        print(f"all servers deployed again after {name}: {seconds:.1f} s")


def of_one(runs: list[Run], server: str) -> Iterator[tuple[Run, Run]]:
    return itertools.pairwise(run for run in runs if run.server == server)
