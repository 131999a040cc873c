"""Ten thousand messages for forty servers, from many clients at once, while one-second commands run."""

import asyncio
import json
from collections.abc import Callable
from typing import TYPE_CHECKING

import httpx
import pytest

from faults.notes import Accepted
from usher.local.choose import Broker

if TYPE_CHECKING:
    from conftest import Programs

MESSAGES = 10_000
PROJECTS = [f"p{number}" for number in range(20)]
STATUSES = ["beta", "test"]


@pytest.mark.slow
async def test_every_issue_is_in_a_deploy_that_began_after_its_last_message(
    make_programs: "Callable[..., Programs]", broker: Broker, vhost_url: str
) -> None:
    projects = {f"PROJECTS__{project.upper()}__STATUSES": json.dumps(STATUSES) for project in PROJECTS}
    usher = make_programs(seconds=1, DEPLOYS__PARALLEL="40", WINDOW__QUIET="2s", WINDOW__CAP="10s", **projects)
    usher.start("trackers", "deploys", "successes")
    usher.accepted += await send_all(usher.url("trackers"))
    await asyncio.to_thread(usher.wait, lambda: not usher.missed(), "everything accepted is deployed", 120)
    assert usher.overlaps() == []
    assert len(usher.runs()) < MESSAGES / 10
    await asyncio.to_thread(usher.wait, lambda: queued(broker, vhost_url) == {}, "every queue is empty", 60)
    usher.wait(
        lambda: (
            usher.get("successes", "/api/messages?state=deployed")["total"]
            + usher.get("successes", "/api/messages?state=superseded")["total"]  # type: ignore[operator]
            == MESSAGES
        ),
        "every message is settled in the ledger",
    )
    print(f"{MESSAGES} messages → {len(usher.runs())} deploys")


async def send_all(url: str) -> list[Accepted]:
    """Send all messages from fifty clients. Returns the accepted messages."""
    accepted: list[Accepted] = []
    numbers = iter(range(MESSAGES))

    async def client() -> None:
        async with httpx.AsyncClient(base_url=url, timeout=60) as http:
            for number in numbers:
                project, status = PROJECTS[number % 20], STATUSES[number // 20 % 2]
                issue = f"{project.upper()}-{number * 7919 % 100 + 1}"
                answer = await http.post("/messages", json={"issue_id": issue, "status": status})
                assert answer.status_code == 201, answer.text
                accepted.append(Accepted.of(answer))

    await asyncio.gather(*(client() for _ in range(50)))
    return accepted


def queued(broker: Broker, vhost_url: str) -> dict[str, int]:
    """The number of messages in each queue that is not empty, as the console shows it. Streams are left out."""
    vhost = vhost_url.rpartition("/")[2]
    answer = httpx.get(f"{broker.console}/api/queues/{vhost}", auth=broker.credentials, timeout=30)
    return {q["name"]: q["messages"] for q in answer.json() if q.get("type") != "stream" and q.get("messages")}
