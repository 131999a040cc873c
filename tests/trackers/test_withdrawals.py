"""Withdrawing over HTTP, on a real broker: out of what waits, never out of what runs, and nothing that comes later."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

from usher.broker import topology
from usher.broker.journal import Journal, follow
from usher.broker.link import connect
from usher.broker.places import Memory
from usher.broker.publisher import Publisher
from usher.core.events import DeployEnded, DeployTaken, Event, MessagesRetried, MessagesWithdrawn, Outcome, Retry
from usher.core.messages import BackMessage
from usher.core.states import State
from usher.runtime.clock import SystemClock
from usher.settings import Settings

Running = Callable[[Settings], AbstractAsyncContextManager[httpx.AsyncClient]]
BETA, TEST = "beta.abc.wwts.com", "test.abc.wwts.com"
DEPLOY = "0123456789ab"


@dataclass
class World:
    """A service that takes messages and withdrawals, and somebody else who reads and writes the journal."""

    http: httpx.AsyncClient
    journal: Journal
    events: list[Event] = field(default_factory=list)

    async def tell(self, issue: str, status: str = "beta") -> BackMessage:
        answer = await self.http.post("/messages", json={"issue_id": issue, "status": status})
        assert answer.status_code == 201
        return BackMessage.model_validate(answer.json())

    async def withdraw(self, *issues: str, **more: str) -> dict[str, Any]:
        answer = await self.http.delete("/messages", params={"issue": list(issues), **more})
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def state(self, message: BackMessage) -> State | None:
        await self.journal.barrier()
        return self.journal.board.state(message.id)

    async def take(self, *messages: BackMessage) -> None:
        ids = tuple(message.id for message in messages)
        await self.journal.append(
            DeployTaken(deploy=DEPLOY, server=BETA, holder="test", fence=1, messages=ids, taken_at=0)
        )

    async def end(self, outcome: Outcome, *messages: BackMessage) -> None:
        ended = DeployEnded(
            deploy=DEPLOY, server=BETA, outcome=outcome, reason="", exit_code=0, rehearsed=False, command=("deploy",),
            standing=messages, superseded=(), started_at=0, ended_at=1, output="", cut=False, log=None,
        )  # fmt: skip
        await self.journal.append(ended)


@pytest.fixture
def settings(make_settings: Callable[..., Settings]) -> Settings:
    return make_settings()


@pytest.fixture
async def world(settings: Settings, running: Running) -> AsyncIterator[World]:
    async with running(settings) as http, reader(settings) as (journal, events):
        await withdraws(http)
        yield World(http, journal, events)


@asynccontextmanager
async def reader(settings: Settings) -> AsyncIterator[tuple[Journal, list[Event]]]:
    events: list[Event] = []
    async with (
        connect(settings.broker, "test") as link,
        follow(
            link,
            await Publisher.open(link, "test"),
            SystemClock(),
            "test",
            Memory(),
            lambda event, _: events.append(event),
        ) as journal,
    ):
        yield journal, events


async def withdraws(http: httpx.AsyncClient) -> None:
    """Wait until orders are carried out."""
    async with asyncio.timeout(15):
        while (await http.delete("/messages?issue=NONE-1")).status_code != 200:
            await asyncio.sleep(0.05)


def told(*messages: BackMessage) -> list[dict[str, str]]:
    return [{"id": m.id, "issue": str(m.issue), "server": m.server} for m in messages]


async def test_issues_are_withdrawn_from_all_servers_and_the_others_go_on_waiting(world: World) -> None:
    first, other, second = await world.tell("ABC-1"), await world.tell("ABC-2"), await world.tell("ABC-1")
    elsewhere = await world.tell("ABC-1", "test")
    answer = await world.withdraw("ABC-1", "ABC-3", by="jane@desk")
    assert answer == {"withdrawn": told(first, second, elsewhere), "running": [], "nothing": ["ABC-3"]}
    assert [await world.state(m) for m in (first, other, second, elsewhere)] == [
        State.WITHDRAWN,
        State.WAITING,
        State.WITHDRAWN,
        State.WITHDRAWN,
    ]
    orders = [event for event in world.events if isinstance(event, MessagesWithdrawn)]
    assert [(order.server, order.by) for order in orders] == [(BETA, "jane@desk"), (TEST, "jane@desk")]


async def test_issues_are_withdrawn_from_one_server(world: World) -> None:
    there, elsewhere = await world.tell("ABC-1"), await world.tell("ABC-1", "test")
    assert (await world.withdraw("ABC-1", server=BETA))["withdrawn"] == told(there)
    assert await world.state(elsewhere) is State.WAITING


async def test_a_second_order_says_that_nothing_waits_and_is_not_in_the_journal(world: World) -> None:
    await world.tell("ABC-1")
    await world.withdraw("ABC-1")
    assert await world.withdraw("ABC-1") == {"withdrawn": [], "running": [], "nothing": ["ABC-1"]}
    await world.journal.barrier()
    assert len([event for event in world.events if isinstance(event, MessagesWithdrawn)]) == 1


async def test_of_orders_at_the_same_time_one_has_done_it(world: World) -> None:
    message = await world.tell("ABC-1")
    answers = await asyncio.gather(*(world.withdraw("ABC-1") for _ in range(4)))
    assert [answer["withdrawn"] for answer in answers if answer["withdrawn"]] == [told(message)]


async def test_what_is_told_after_the_order_is_not_touched(world: World) -> None:
    await world.tell("ABC-1")
    await world.withdraw("ABC-1")
    later = await world.tell("ABC-1")
    assert await world.state(later) is State.WAITING


@pytest.mark.parametrize(("outcome", "state"), [(Outcome.FAILED, State.WITHDRAWN), (Outcome.PASSED, State.DEPLOYED)])
async def test_what_is_being_deployed_goes_on_and_the_order_counts_if_it_does_not_pass(
    world: World, outcome: Outcome, state: State
) -> None:
    running = await world.tell("ABC-1")
    await world.take(running)
    waiting = await world.tell("ABC-1")
    deploying = [{"issue": "ABC-1", "server": BETA, "deploy": DEPLOY}]
    assert await world.withdraw("ABC-1") == {"withdrawn": told(waiting), "running": deploying, "nothing": []}
    assert await world.withdraw("ABC-1") == {"withdrawn": [], "running": deploying, "nothing": []}
    assert await world.state(running) is State.DEPLOYING
    await world.end(outcome, running)
    assert await world.state(running) is state


async def test_what_failed_and_what_is_to_be_tried_again_is_withdrawn(world: World) -> None:
    one, two = await world.tell("ABC-1"), await world.tell("ABC-2")
    await world.take(one, two)
    await world.end(Outcome.FAILED, one, two)
    again = one.again(2**50)
    await world.journal.append(
        MessagesRetried(deploy=DEPLOY, server=BETA, retries=(Retry(failed=one.id, next=again),), reason="", at=1)
    )
    assert (await world.withdraw("ABC-1", "ABC-2"))["withdrawn"] == told(two, again)
    assert (await world.state(two), await world.state(again)) == (State.WITHDRAWN, State.WITHDRAWN)


async def test_who_does_not_say_who_asks_is_known_by_the_address(world: World) -> None:
    await world.tell("ABC-1")
    await world.withdraw("ABC-1")
    await world.journal.barrier()
    (order,) = [event for event in world.events if isinstance(event, MessagesWithdrawn)]
    assert order.by == "127.0.0.1"


@pytest.mark.parametrize(
    ("query", "code", "says"),
    [
        ("", 422, "issue is missing; name at least one, like DELETE /messages?"),
        ("server=beta.abc.wwts.com", 422, "issue is missing"),
        ("issue=abc-1", 422, "'abc-1' is not an issue; it should look like ABC-123"),
        ("issue=ABC-1&issue=", 422, "'' is not an issue"),
        ("issue=ABC-1&servr=beta.abc.wwts.com", 422, "servr is unknown; known are server, issue and by"),
        ("issue=ABC-1&server=a&server=b", 422, "name one server at the most"),
        ("issue=ABC-1&by=" + "x" * 101, 422, "by should be a name of at most 100 printable"),
        ("issue=ABC-1&by=a%0Ab", 422, "by should be a name of at most 100 printable"),
        ("&".join(["issue=ABC-1"] * 1001), 422, "at most 1000 issues in one order"),
        ("issue=" + "A" * 40_000, 422, "is not an issue"),
        ("issue=ABC-1&server=prod.abc.wwts.com", 404, "unknown server 'prod.abc.wwts.com'; known: "),
        ("issue=ABC-1&server=", 404, "unknown server ''"),
    ],
)
async def test_an_order_that_cannot_be_understood_is_answered_in_plain_words(
    world: World, query: str, code: int, says: str
) -> None:
    answer = await world.http.delete(f"/messages?{query}")
    assert answer.status_code == code
    assert says in answer.json()["detail"]
    assert len(answer.text) < 400


async def test_without_a_journal_messages_are_taken_and_withdrawals_are_asked_for_again(
    world: World, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trackers.service.JOURNAL_PAUSE", 0.1)
    monkeypatch.setattr("usher.broker.journal.RESUME_SECONDS", 0.2)
    async with connect(settings.broker, "test") as link, link.publishing.raw.channel() as channel:
        await channel.queue_delete(topology.JOURNAL)
    async with asyncio.timeout(10):
        while (refused := await world.http.delete("/messages?issue=ABC-1")).status_code != 503:
            await asyncio.sleep(0.02)
    assert refused.headers["retry-after"] == "10"
    assert "ask again" in refused.json()["detail"]
    assert (await world.http.post("/messages", json={"issue_id": "ABC-1", "status": "beta"})).status_code == 201
    assert (await world.http.get("/ready")).status_code == 200
    await withdraws(world.http)
    later = await world.tell("ABC-1")
    assert (await world.withdraw("ABC-1"))["withdrawn"] == told(later)


@pytest.mark.parametrize("site", ["cross-site", "same-site", "oddity"])
async def test_a_page_of_another_site_can_neither_tell_nor_withdraw(world: World, site: str) -> None:
    headers = {"Sec-Fetch-Site": site}
    body = {"issue_id": "ABC-1", "status": "beta"}
    message = await world.tell("ABC-1")
    answers: list[Awaitable[httpx.Response]] = [
        world.http.post("/messages", json=body, headers=headers),
        world.http.delete("/messages?issue=ABC-1", headers=headers),
    ]
    for answer in await asyncio.gather(*answers):
        assert (answer.status_code, "web page of another site" in answer.json()["detail"]) == (403, True)
    assert (await world.withdraw("ABC-1"))["withdrawn"] == told(message)
    assert (await world.http.post("/webhooks/jira", json={}, headers=headers)).status_code == 200


@pytest.mark.parametrize("site", ["same-origin", "none"])
async def test_our_own_pages_and_what_a_person_opens_can(world: World, site: str) -> None:
    body, headers = {"issue_id": "ABC-1", "status": "beta"}, {"Sec-Fetch-Site": site}
    assert (await world.http.post("/messages", json=body, headers=headers)).status_code == 201
    assert (await world.http.delete("/messages?issue=ABC-1", headers=headers)).status_code == 200
