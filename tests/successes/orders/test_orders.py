"""Orders over HTTP about what failed: what they do, what they leave and why; twice does nothing twice."""

import asyncio

import httpx
import pytest

from successes.web.app import make_app
from usher.broker import topology
from usher.broker.publisher import Publisher
from usher.core.errors import NotConfirmed
from usher.core.events import MessagesRetried, MessagesWithdrawn, Outcome
from usher.core.messages import BackMessage

BETA = "beta.abc.wwts.com"


@pytest.fixture
async def world(make_world):
    return await make_world(RETRIES__DELAYS="[]")


@pytest.fixture
async def ask(world):
    """Ask the service's API; the service runs."""
    async with world.running():
        service = world.service
        app = make_app(world.settings, world.ledger, lambda: service.board, service.orders, service.unready)
        await world.handled()
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(app, client=("10.1.2.3", 1)), base_url="http://successes"
        ) as client:

            async def ask(path: str, /, **order: object) -> httpx.Response:
                return await (client.post(f"/api/{path}", json=order) if order else client.get(f"/api/{path}"))

            yield ask


async def parked(world, *keys):
    """Messages of one server that failed for good, and the deploy in which they did."""
    told = await world.told(*keys)
    ended = await world.ended(*told, outcome=Outcome.FAILED)
    await world.handled()
    return told, ended


def orders(world, kind):
    return [event for event in world.seen if isinstance(event, kind)]


async def test_what_is_parked_is_listed_newest_first_with_how_it_failed(world, ask):
    [one, other], ended = await parked(world, "ABC-111", "ABC-112")
    await parked(world, "DEF-5")
    first = (await ask("parked?per_page=1")).json()
    assert (first["total"], first["pages"], first["items"][0]["issue"]) == (3, 3, "DEF-5")
    items = (await ask(f"parked?server={BETA}")).json()["items"]
    assert [item["id"] for item in items] == [other.id, one.id]
    facts = {key: items[0][key] for key in ("state", "deploy", "outcome", "exit_code", "reason", "attempt", "told")}
    assert facts == {
        "state": "parked",
        "deploy": ended.deploy,
        "outcome": "failed",
        "exit_code": 2,
        "reason": "exit code 2",
        "attempt": 1,
        "told": 1,
    }
    assert items[0]["changed_at"] > items[0]["queued_at"]
    assert (await ask("parked?issue=abc-111")).json()["total"] == 1
    assert (await ask("parked?server=nowhere")).json()["items"] == []


async def test_a_retry_is_told_at_once_as_the_next_attempt_and_the_journal_has_who_asked(world, ask):
    [one, other], _ = await parked(world, "ABC-111", "ABC-112")
    again = one.again(0)
    answer = (await ask("parked/retry", issues=["ABC-111"], by="ann")).json()
    assert answer == {
        "order": "retry",
        "messages": [{"id": again.id, "issue": "ABC-111", "server": BETA, "attempt": 2}],
        "left": [],
    }
    assert world.service.board.state(again.id) == "waiting"
    assert world.service.board.state(other.id) == "parked"
    [event] = orders(world, MessagesRetried)
    assert (event.by, event.deploy, event.reason) == ("ann", None, "ordered")
    assert again.id in await world.waits_in(topology.server_queue(BETA))


async def test_the_same_order_twice_does_nothing_the_second_time_and_says_so(world, ask):
    await parked(world, "ABC-111", "ABC-112")
    for order, why in (("retry", "waits already"), ("drop", "was withdrawn by 10.1.2.3")):
        issue = "ABC-111" if order == "retry" else "ABC-112"
        assert len((await ask(f"parked/{order}", server=BETA, issues=[issue])).json()["messages"]) == 1
        assert (await ask(f"parked/{order}", server=BETA, issues=[issue])).json() == {
            "order": order,
            "messages": [],
            "left": [{"issue": issue, "server": BETA, "why": why}],
        }
    assert [event.by for event in orders(world, MessagesWithdrawn)] == ["10.1.2.3"]
    assert (await ask("parked/retry", all=True)).json() == {"order": "retry", "messages": [], "left": []}


async def test_all_that_is_parked_is_tried_again_on_every_server(world, ask):
    await parked(world, "ABC-111", "ABC-112")
    await parked(world, "DEF-5")
    answer = (await ask("parked/retry", all=True)).json()
    assert sorted(item["issue"] for item in answer["messages"]) == ["ABC-111", "ABC-112", "DEF-5"]
    assert (await ask("parked")).json()["total"] == 0


async def test_what_is_left_is_named_with_the_reason(world, ask):
    await parked(world, "ABC-111")
    passed = await world.ended(*await world.told("ABC-111"))
    runs = await world.taken(*await world.told("ABC-112"))
    await world.told("ABC-113")
    await world.handled()
    answer = (await ask("parked/retry", server=BETA, issues=["ABC-111", "ABC-112", "ABC-113", "ABC-114"])).json()
    assert {left["issue"]: left["why"] for left in answer["left"]} == {
        "ABC-111": f"was deployed by deploy {passed.deploy}",
        "ABC-112": f"is being deployed by deploy {runs.deploy}",
        "ABC-113": "waits already",
        "ABC-114": "nothing of it is parked",
    }
    assert answer["messages"] == []


async def test_a_failed_deploy_is_tried_again_whole_once(world, ask):
    told, ended = await parked(world, "ABC-111", "ABC-112")
    path = f"deploys/{ended.deploy}/retry"
    answer = (await ask(path, by="ann")).json()
    assert [item["id"] for item in answer["messages"]] == [message.again(0).id for message in told]
    assert orders(world, MessagesRetried)[0].deploy == ended.deploy
    again = await ask(path, by="ann")
    assert again.status_code == 409
    assert again.json()["detail"] == (
        f"deploy {ended.deploy} has nothing to try again: ABC-111 waits already; ABC-112 waits already"
    )


async def test_a_deploy_that_passed_or_still_runs_is_not_tried_again_nor_one_that_nobody_knows(world, ask):
    passed = await world.ended(*await world.told("ABC-111"))
    runs = await world.taken(*await world.told("ABC-112"))
    await world.handled()
    for deploy, code, why in (
        (passed.deploy, 409, "has nothing to try again: it passed"),
        (runs.deploy, 409, "has nothing to try again: it still runs"),
        ("123456789abc", 404, "no deploy '123456789abc' is known; /api/deploys lists them"),
    ):
        answer = await ask(f"deploys/{deploy}/retry", by="ann")
        assert (answer.status_code, why in answer.json()["detail"]) == (code, True)


async def test_what_is_to_be_tried_again_later_is_tried_at_once_without_an_attempt_lost(make_world):
    world = await make_world(RETRIES__DELAYS='["1h"]')
    async with world.running():
        app = make_app(
            world.settings, world.ledger, lambda: world.service.board, world.service.orders, world.service.ready
        )
        [message] = await world.told("ABC-111")
        ended = await world.ended(message, outcome=Outcome.FAILED)
        await world.handled()
        [later] = world.service.board.server(message.server).retrying
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://successes") as client:
            assert (
                (await client.post("/api/parked/drop", json={"issues": ["ABC-111"]}))
                .json()["left"][0]["why"]
                .startswith("is tried again at ")
            )
            answer = (await client.post(f"/api/deploys/{ended.deploy}/retry", json={})).json()
        [item] = answer["messages"]
        assert item["attempt"] == 2
        assert world.service.board.state(item["id"]) == "waiting"
        assert world.service.board.state(later) == "retried"


async def test_an_order_that_is_not_confirmed_promises_nothing_and_may_be_given_again(world, ask, monkeypatch):
    [message], _ = await parked(world, "ABC-111")
    tells, failed = Publisher.message, asyncio.Event()

    async def fails_once(publisher, told: BackMessage):
        if not failed.is_set():
            failed.set()
            raise NotConfirmed(what="it", why="no answer")
        await tells(publisher, told)

    monkeypatch.setattr(Publisher, "message", fails_once)
    first = await ask("parked/retry", issues=["ABC-111"])
    assert (first.status_code, first.headers["retry-after"]) == (503, "10")
    assert "ask again soon: an order that is given twice does no harm" in first.json()["detail"]
    second = (await ask("parked/retry", issues=["ABC-111"])).json()
    assert [item["attempt"] for item in second["messages"]] == [2]
    assert world.service.board.state(second["messages"][0]["id"]) == "waiting"
    assert world.service.board.state(message.id) == "retried"


@pytest.mark.parametrize(
    ("order", "code", "why"),
    [
        ({"by": "ann"}, 422, 'name a server or issues, or say "all": true'),
        ({"issues": ["ABC-0"]}, 422, "ABC-0"),
        ({"issues": ["XYZ-1"]}, 422, "no server deploys XYZ, so nothing of XYZ-1 is parked"),
        ({"server": BETA, "issues": ["DEF-1"]}, 422, f"DEF-1 is not an issue of abc, which {BETA} deploys"),
        ({"server": "nowhere"}, 404, "unknown server 'nowhere'; known: "),
        ({"all": True, "by": "a" * 101}, 422, "by: String should have at most 100 characters"),
        ({"all": True, "by": "a\nb"}, 422, "by should be a name"),
        ({"all": True, "more": 1}, 422, "more: Extra inputs are not permitted"),
        ({"issues": ["ABC-1"] * 1001}, 422, "issues: Tuple should have at most 1000 items"),
        ({"server": "x" * 1_100_000}, 422, "an order is at most 1 MiB long"),
    ],
)
async def test_a_bad_order_is_refused_in_a_sentence(ask, order, code, why):
    answer = await ask("parked/drop", **order)
    assert answer.status_code == code
    assert why in answer.json()["detail"]


async def test_no_order_is_taken_before_the_journal_is_read_or_from_another_site_s_page(world):
    async with world.running():
        pass
    service = world.service
    app = make_app(world.settings, world.ledger, lambda: service.board, service.orders, service.unready)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://successes") as client:
        early = await client.post("/api/parked/retry", json={"all": True})
        foreign = await client.post("/api/parked/retry", json={"all": True}, headers={"Sec-Fetch-Site": "cross-site"})
    assert (early.status_code, "not read to its end yet" in early.json()["detail"]) == (503, True)
    assert (foreign.status_code, "web page of another site" in foreign.json()["detail"]) == (403, True)
