"""`docker-compose.cluster.yml`: nodes, replicas and their networks are lost repeatedly under a steady load."""

import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from faults.stack import SERVERS, Stack, noting, settings, stacked
from faults.storms import Load

pytestmark = [pytest.mark.slow, pytest.mark.long, pytest.mark.programs]

RATE = 5.0
AWAY = (8.0, 25.0)
"""Seconds that a part is off the network. The brokers' net_ticktime is 15 s."""

SLOW_OF = 8
"""One deploy of this many lasts longer than the take-over wait, so that an overlap would be seen."""

TOML = settings(
    {"seconds": 2, "slow": 25, "slow_of": SLOW_OF, "fails_of": 6, "forbidden": "DEF-13"},
    """
silence = "3s"
grace = "2s"
[broker]
heartbeat = "2s"
[window]
quiet = "1s"
cap = "2s"
floor = "0s"
[retries]
delays = ["1s", "2s"]
[successes]
sweep = "30s"
""",
)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The project of docker-compose.cluster.yml."""

    def more(stack: Stack) -> dict[str, Any]:
        return {"deploys-1": noting(stack), "deploys-2": noting(stack)}

    ports = {"webhooks": 8100, "trackers": 8101, "successes": 8103, "console": 15772}
    folder = tmp_path_factory.mktemp("cluster")
    with stacked("docker-compose.cluster.yml", folder, TOML, ports, more) as cluster:
        yield cluster


def test_every_queue_and_the_journal_are_on_all_three_nodes(cluster: Stack) -> None:
    cluster.wait(lambda: all_members(cluster), "three members of each are online")
    queues = cluster.queues()
    assert {"usher.journal", "usher.results", "usher.server.beta.abc.wwts.com"} <= queues.keys()
    assert {queue["leader"] for queue in queues.values()} == {"rabbit@broker-1", "rabbit@broker-2", "rabbit@broker-3"}


def test_the_port_for_jira_leads_to_the_webhook_and_to_nothing_else(cluster: Stack) -> None:
    with httpx.Client(base_url=f"http://{cluster.host}:{cluster.ports['webhooks']}", timeout=30) as jira:
        assert jira.post("/webhooks/jira", json={"webhookEvent": "jira:issue_deleted"}).status_code == httpx.codes.OK
        for path in ("/messages", "/webhooks/../messages", "/", "/docs"):
            assert jira.post(path, json={"issue_id": "ABC-1", "status": "beta"}).status_code == httpx.codes.NOT_FOUND


def test_losing_nodes_replicas_and_networks_during_deploys_loses_and_duplicates_nothing(
    cluster: Stack, storm_seconds: float, say: Callable[[dict[str, object]], None]
) -> None:
    load, lost, seed = Load(cluster.url, RATE), Counter[str](), random.randrange(10**6)
    chance, took = random.Random(seed), dict[str, list[float]]()
    cluster.wait(lambda: all_members(cluster), "three members of each queue are online")
    with load.running():
        recovers(cluster)
        until = time.monotonic() + storm_seconds
        while not lost or time.monotonic() < until:
            for what, lose, part in rounds(cluster, chance):
                lose(cluster, name := part(cluster))
                lost[what] += 1
                took.setdefault(what, []).append(round(recovers(cluster), 1))
                cluster.start(name)
                cluster.wait(lambda name=name: cluster.healthy(name), f"{name} is healthy again", 120)
                cluster.wait(lambda: whole(cluster, lost), f"three members of each queue are online after {what}", 120)
    history = cluster.verify(load.accepted)
    figures = history.figures(lost, cluster.redeliveries.count)
    say({"seed": seed, **figures, "refused and sent again": dict(load.refused), "all servers deployed again (s)": took})
    assert load.given_up == 0
    assert len(load.accepted) > 200


Part = Callable[[Stack], str]
Lose = Callable[[Stack, str], None]


def rounds(cluster: Stack, chance: random.Random) -> list[tuple[str, Lose, Part]]:
    """The losses of one round: what is lost, how, and a function that chooses the part."""

    def killed(cluster: Stack, name: str) -> None:
        cluster.kill(name)

    def cut_off(cluster: Stack, name: str) -> None:
        cluster.cut_off(name)
        time.sleep(chance.uniform(*AWAY))
        cluster.connect(name)

    def one_of(*names: str) -> Part:
        return lambda _: chance.choice(names)

    return [
        ("the leading node is killed", killed, leading_node),
        ("the deploying replica is killed", killed, deploying_replica),
        ("the leading node is off the network", cut_off, leading_node),
        ("the deploying replica is off the network", cut_off, deploying_replica),
        ("a replica of another service is killed", killed, one_of("successes-1", "successes-2", "trackers-1")),
        ("another part is off the network", cut_off, one_of("successes-1", "trackers-2", "postgres")),
    ]


def all_members(cluster: Stack) -> bool:
    """Whether every queue has three members, all online."""
    queues = cluster.queues().values()
    return len(queues) > 4 and all(len(q["online"]) == len(q["members"]) == 3 for q in queues)


def whole(cluster: Stack, lost: Counter[str]) -> bool:
    """Whether every queue has its members again. A lasting partition is ended by a restart, as the docs advise."""
    if node := cluster.partitioned():
        lost["a node in a partition is restarted"] += 1
        cluster.kill(node)
        cluster.start(node)
        cluster.wait(lambda: cluster.healthy(node) and not cluster.partitioned(), f"{node} is healthy again", 120)
    return all_members(cluster)


def recovers(cluster: Stack) -> float:
    """Wait until every server has had a deploy that began after now and ended. Returns how long it took (s)."""
    now = time.time()

    def deployed() -> bool:
        return {run.server for run in cluster.notes.runs() if run.begin > now and run.ended} == SERVERS

    return cluster.wait(deployed, "every server is deployed again", 180)


def leading_node(cluster: Stack) -> str:
    """The broker that leads the most queues."""
    leaders = Counter(str(queue["leader"]) for queue in cluster.queues().values())
    return leaders.most_common(1)[0][0].removeprefix("rabbit@")


def deploying_replica(cluster: Stack) -> str:
    """A `deploys` that is running a long command now."""
    holders: list[str] = []

    def found() -> bool:
        try:
            servers = cluster.get("/api/servers")["items"]
        except httpx.HTTPError:
            return False
        running = [server["running"] for server in servers if server["running"]]
        holders[:] = [taken["holder"] for taken in running if int(taken["deploy"], 16) % SLOW_OF == 1]
        return bool(holders)

    cluster.wait(found, "a long command runs")
    return holders[0].partition("@")[2].partition(":")[0]
