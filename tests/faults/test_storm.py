"""An hour of moves in ten minutes, on the shipped containers, while one part after the other is killed."""

import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from faults.stack import SERVERS, Stack, noting, settings, stacked
from faults.storms import Load

pytestmark = [pytest.mark.slow, pytest.mark.long, pytest.mark.programs]

PARTS = ("rabbitmq", "trackers", "deploys", "deploys-2", "successes")
RATE = 3.0
"""Messages per second: 1,800 in ten minutes, as many as thirty people send in an hour if each moves one a minute."""

BETWEEN = (2.0, 6.0)
"""Seconds between two kills."""

DOWN = (0.2, 3.0)
"""Seconds until a killed part is started again."""

TOML = settings(
    {"seconds": 1.5, "slow": 6, "slow_of": 5, "fails_of": 7, "forbidden": "DEF-13"},
    """
silence = "2s"
grace = "1s"
[broker]
heartbeat = "1s"
[window]
quiet = "1s"
cap = "4s"
floor = "0s"
[retries]
delays = ["2s", "4s", "8s"]
[successes]
sweep = "30s"
""",
)


@pytest.fixture
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The project of docker-compose.yml, with a second `deploys`."""

    def more(stack: Stack) -> dict[str, Any]:
        second = stack.config()["services"]["deploys"]
        del second["ports"]
        second["volumes"] += noting(stack)["volumes"]
        return {"deploys": noting(stack), "deploys-2": second}

    ports = {"trackers": 8001, "successes": 8003, "console": 15672}
    with stacked("docker-compose.yml", tmp_path_factory.mktemp("storm"), TOML, ports, more) as stack:
        yield stack


def test_killing_all_parts_again_and_again_during_a_storm_loses_and_duplicates_nothing(
    stack: Stack, storm_seconds: float, say: Callable[[dict[str, object]], None]
) -> None:
    load, kills, seed = Load(stack.url, RATE), Counter[str](), random.randrange(10**6)
    chance = random.Random(seed)
    with load.running():
        until = time.monotonic() + storm_seconds
        while time.monotonic() < until:
            pause(stack, chance.uniform(*BETWEEN))
            victim = chance.choice(PARTS)
            stack.kill(victim)
            kills[victim] += 1
            pause(stack, chance.uniform(*DOWN))
            stack.start(victim)
    history = stack.verify(load.accepted)
    figures = history.figures(kills, stack.redeliveries.count)
    say({"seed": seed, **figures, "refused and sent again": dict(load.refused), "given up": load.given_up})
    assert {run.server for run in history.runs} == SERVERS
    assert len(load.accepted) > RATE * storm_seconds * 0.9
    assert load.given_up == 0


def pause(stack: Stack, seconds: float) -> None:
    """Wait, and count redeliveries meanwhile."""
    until = time.monotonic() + seconds
    while (remaining := until - time.monotonic()) > 0:
        stack.queues()
        time.sleep(max(0, min(1.0, remaining)))
