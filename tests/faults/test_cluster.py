"""`docker-compose.cluster.yml`: nodes, replicas and their networks are lost under a steady load, again and again."""

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
"""Seconds that a part is off the network: the brokers' own patience, net_ticktime, is 15 s."""

SLOW_OF = 8
"""One deploy in so many lasts longer than the take-over wait: should two overlap, that is seen."""

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

    ports = {"trackers": 8101, "successes": 8103, "console": 15772}
    folder = tmp_path_factory.mktemp("cluster")
    with stacked("docker-compose.cluster.yml", folder, TOML, ports, more) as cluster:
        yield cluster


def test_every_queue_and_the_journal_are_on_all_three_nodes(cluster: Stack) -> None:
    cluster.wait(lambda: all_members(cluster), "three members of each are online")
    queues = cluster.queues()
    assert {"usher.journal", "usher.results", "usher.server.beta.abc.wwts.com"} <= queues.keys()
    assert {queue["leader"] for queue in queues.values()} == {"rabbit@broker-1", "rabbit@broker-2", "rabbit@broker-3"}


def test_nodes_replicas_and_their_networks_are_lost_in_mid_deploy_and_nothing_is_lost_or_doubled(
    cluster: Stack, storm_seconds: float, say: Callable[[dict[str, object]], None]
) -> None:
    load, lost, seed = Load(cluster.url, RATE), Counter[str](), random.randrange(10**6)
    chance, took = random.Random(seed), dict[str, list[float]]()
    cluster.wait(lambda: all_members(cluster), "three members of each queue are online")
    with load.running():
        goes_on(cluster)
        until = time.monotonic() + storm_seconds
        while not lost or time.monotonic() < until:
            for what, lose, part in rounds(cluster, chance):
                lose(cluster, name := part(cluster))
                lost[f"{what}"] += 1
                took.setdefault(what, []).append(round(goes_on(cluster), 1))
                cluster.start(name)
                cluster.wait(lambda name=name: cluster.healthy(name), f"{name} is well again", 120)
                cluster.wait(lambda: whole(cluster, lost), f"three members of each queue are online after {what}", 120)
    history = cluster.proved(load.told)
    figures = history.figures(lost, cluster.redeliveries.count)
    say({"seed": seed, **figures, "refused and told again": dict(load.refused), "all servers deployed again (s)": took})
    assert load.given_up == 0
    assert len(load.told) > 200


Part = Callable[[Stack], str]
Lose = Callable[[Stack, str], None]


def rounds(cluster: Stack, chance: random.Random) -> list[tuple[str, Lose, Part]]:
    """What is lost in one round, how, and which part that is when its turn has come."""

    def killed(cluster: Stack, name: str) -> None:
        cluster.kill(name)

    def cut_off(cluster: Stack, name: str) -> None:
        cluster.cut_off(name)
        time.sleep(chance.uniform(*AWAY))
        cluster.connect(name)

    def other(*names: str) -> Part:
        return lambda _: chance.choice(names)

    return [
        ("the leading node is killed", killed, leading_node),
        ("the replica that deploys is killed", killed, replica_in_mid_deploy),
        ("the leading node is off the network", cut_off, leading_node),
        ("the replica that deploys is off the network", cut_off, replica_in_mid_deploy),
        ("a replica of another service is killed", killed, other("successes-1", "successes-2", "trackers-1")),
        ("another part is off the network", cut_off, other("successes-1", "trackers-2", "postgres")),
    ]


def all_members(cluster: Stack) -> bool:
    """Whether every queue has its three members, all online."""
    queues = cluster.queues().values()
    return len(queues) > 4 and all(len(q["online"]) == len(q["members"]) == 3 for q in queues)


def whole(cluster: Stack, lost: Counter[str]) -> bool:
    """Whether every queue has its members again; a partition that nobody heals is ended as the README says."""
    if node := cluster.partitioned():
        lost["a node in a partition is restarted"] += 1
        cluster.kill(node)
        cluster.start(node)
        cluster.wait(lambda: cluster.healthy(node) and not cluster.partitioned(), f"{node} is well again", 120)
    return all_members(cluster)


def goes_on(cluster: Stack) -> float:
    """Seconds until every server has had a deploy that began after now and came to its end."""
    now = time.time()

    def deployed() -> bool:
        return {run.server for run in cluster.notes.runs() if run.begin > now and run.ended} == SERVERS

    return cluster.wait(deployed, "every server is deployed again", 180)


def leading_node(cluster: Stack) -> str:
    """The broker that leads the most queues."""
    leaders = Counter(str(queue["leader"]) for queue in cluster.queues().values())
    return leaders.most_common(1)[0][0].removeprefix("rabbit@")


def replica_in_mid_deploy(cluster: Stack) -> str:
    """A `deploys` whose command runs at this moment, and for some time."""
    holders: list[str] = []

    def runs() -> bool:
        try:
            servers = cluster.asked("/api/servers")["items"]
        except httpx.HTTPError:
            return False
        running = [server["running"] for server in servers if server["running"]]
        holders[:] = [taken["holder"] for taken in running if int(taken["deploy"], 16) % SLOW_OF == 1]
        return bool(holders)

    cluster.wait(runs, "a long command runs")
    return holders[0].partition("@")[2].partition(":")[0]
