"""Withdrawing through trackers, on a real broker: the order is published, and successes carries it out."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import httpx
import pytest

from usher.broker import topology
from usher.broker.consumer import consume
from usher.broker.journal import Journal, follow
from usher.broker.link import Link, connect
from usher.broker.places import Memory
from usher.broker.publisher import Publisher
from usher.core.errors import NotConfirmed
from usher.core.events import decode_order
from usher.core.orders import Order, WithdrawOrder
from usher.runtime.clock import SystemClock
from usher.settings import Settings

Running = Callable[[Settings], AbstractAsyncContextManager[httpx.AsyncClient]]
BETA, TEST = "beta.abc.wwts.com", "test.abc.wwts.com"


@pytest.fixture
def settings(make_settings: Callable[..., Settings]) -> Settings:
    return make_settings()


@pytest.fixture
async def http(settings: Settings, running: Running) -> AsyncIterator[httpx.AsyncClient]:
    async with running(settings) as client:
        yield client


@asynccontextmanager
async def reading(settings: Settings) -> AsyncIterator[tuple[Link, Journal]]:
    async with connect(settings.broker, "test") as link:
        publisher = await Publisher.open(link, "test")
        async with follow(link, publisher, SystemClock(), "test", Memory()) as journal:
            yield link, journal


async def queued(link: Link, count: int) -> list[Order]:
    """The first `count` orders in the queue. They stay there."""
    async with asyncio.timeout(10), consume(link, topology.ORDERS, "test:look", prefetch=100) as consumer:
        return [decode_order((await consumer.get()).body) for _ in range(count)]


async def test_an_order_is_accepted_once_the_queue_and_the_journal_have_it(
    http: httpx.AsyncClient, settings: Settings
) -> None:
    answer = await http.delete("/messages?issue=ABC-1&issue=ABC-2&issue=ABC-1&by=jane@desk&reason=wrong+release")
    assert answer.status_code == 202
    state = answer.json()
    async with reading(settings) as (link, journal):
        [order] = await queued(link, 1)
        assert journal.board.orders.entries[order.id].order == order
    servers = tuple(server.name for server in settings.catalogue if server.project == "abc")
    assert isinstance(order, WithdrawOrder)
    assert (order.by, order.reason, order.servers) == ("jane@desk", "wrong release", servers)
    assert [str(issue) for issue in order.issues] == ["ABC-1", "ABC-2"]
    assert (state["id"], state["order"], state["state"]) == (order.id, "withdraw", "requested")


async def test_an_order_for_one_server_without_a_name_is_by_the_address(
    http: httpx.AsyncClient, settings: Settings
) -> None:
    await http.delete(f"/messages?issue=ABC-1&server={TEST}")
    async with reading(settings) as (link, _):
        [order] = await queued(link, 1)
    assert (order.servers, order.by, order.reason) == ((TEST,), "127.0.0.1", "")


async def test_an_order_that_is_sent_twice_with_the_same_id_is_one_order(
    http: httpx.AsyncClient, settings: Settings
) -> None:
    order = secrets.token_hex(16)
    for _ in range(2):
        assert (await http.delete(f"/messages?issue=ABC-1&id={order}")).json()["id"] == order
    async with reading(settings) as (link, journal):
        assert [copy.id for copy in await queued(link, 2)] == [order, order]
        assert list(journal.board.orders.entries) == [order]


async def test_an_order_that_is_not_confirmed_is_answered_with_its_id(
    http: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fails(publisher: Publisher, order: Order) -> None:
        raise NotConfirmed(what="the order", why="no answer")

    monkeypatch.setattr(Publisher, "order", fails)
    order = secrets.token_hex(16)
    answer = await http.delete(f"/messages?issue=ABC-1&id={order}")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "10")
    assert answer.json()["detail"].endswith(f"it is safe to send it again with the same id: {order}")


@pytest.mark.parametrize(
    ("query", "code", "says"),
    [
        ("", 422, "issue is missing; name at least one; example: DELETE /messages?"),
        ("server=beta.abc.wwts.com", 422, "issue is missing"),
        ("issue=abc-1", 422, "'abc-1' is not an issue; it should look like ABC-123"),
        ("issue=ABC-1&issue=", 422, "'' is not an issue"),
        (
            "issue=ABC-1&servr=beta.abc.wwts.com",
            422,
            "servr is unknown; known: issue, server, by, reason, id; example: ",
        ),
        ("issue=ABC-1&server=a&server=b", 422, "name at most one server"),
        ("issue=ABC-1&by=" + "x" * 101, 422, "by should be at most 100 printable"),
        ("issue=ABC-1&by=a%0Ab", 422, "by should be at most 100 printable"),
        ("issue=ABC-1&reason=a%00b", 422, "reason should be at most 500 printable"),
        ("issue=ABC-1&id=7", 422, "id should be 32 lower-case hexadecimal digits"),
        ("&".join(["issue=ABC-1"] * 1001), 422, "at most 1000 issues in one order"),
        ("issue=" + "A" * 40_000, 422, "is not an issue"),
        ("issue=XYZ-1", 422, "no server deploys XYZ, so XYZ-1 cannot be deployed there"),
        ("issue=DEF-1&server=beta.abc.wwts.com", 422, "beta.abc.wwts.com does not deploy DEF"),
        ("issue=ABC-1&server=prod.abc.wwts.com", 404, "unknown server 'prod.abc.wwts.com'; known: "),
        ("issue=ABC-1&server=", 404, "unknown server ''"),
    ],
)
async def test_a_bad_order_is_answered_with_a_clear_error(
    http: httpx.AsyncClient, query: str, code: int, says: str
) -> None:
    answer = await http.delete(f"/messages?{query}")
    assert answer.status_code == code
    assert says in answer.json()["detail"]
    assert len(answer.text) < 400


@pytest.mark.parametrize("site", ["cross-site", "same-site", "oddity"])
async def test_a_page_of_another_site_can_neither_report_nor_withdraw(http: httpx.AsyncClient, site: str) -> None:
    headers = {"Sec-Fetch-Site": site}
    body = {"issue_id": "ABC-1", "status": "beta"}
    answers: list[Awaitable[httpx.Response]] = [
        http.post("/messages", json=body, headers=headers),
        http.delete("/messages?issue=ABC-1", headers=headers),
        http.post("/webhooks/jira", json={}, headers=headers),
    ]
    for answer in await asyncio.gather(*answers):
        assert (answer.status_code, "another site's page" in answer.json()["detail"]) == (403, True)


@pytest.mark.parametrize("site", ["same-origin", "none"])
async def test_our_own_pages_and_direct_requests_can(http: httpx.AsyncClient, site: str) -> None:
    body, headers = {"issue_id": "ABC-1", "status": "beta"}, {"Sec-Fetch-Site": site}
    assert (await http.post("/messages", json=body, headers=headers)).status_code == 201
    assert (await http.delete("/messages?issue=ABC-1", headers=headers)).status_code == 202
