"""The HTTP API for orders: bad orders are refused before anything is published."""

import httpx
import pytest

from successes.orders.desk import Desk
from successes.web.app import make_app
from usher.runtime.clock import SystemClock

BETA = "beta.abc.wwts.com"


async def ready():
    return True


@pytest.fixture
async def api(settings, ledger):
    app = make_app(settings, ledger, lambda: None, Desk(ledger, SystemClock()), ready)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://successes") as client:
        yield client


@pytest.mark.parametrize(
    ("what", "order", "code", "why"),
    [
        ("drop", {"by": "ann"}, 422, 'name a server or issues, or set "all": true'),
        ("retry", {"by": "ann"}, 422, 'name a server or issues, or set "all": true'),
        ("retry", {"deploy": "123456789abc", "all": True}, 422, "name either a deploy, or a server"),
        ("withdraw", {"server": BETA}, 422, "issues: Field required"),
        ("withdraw", {"issues": []}, 422, "issues: Tuple should have at least 1 item"),
        ("drop", {"issues": ["ABC-0"]}, 422, "ABC-0"),
        ("drop", {"issues": ["XYZ-1"]}, 422, "no server deploys XYZ, so XYZ-1 cannot be deployed there"),
        (
            "drop",
            {"server": BETA, "issues": ["DEF-1"]},
            422,
            f"{BETA} does not deploy DEF, so DEF-1 cannot be deployed there",
        ),
        ("drop", {"server": "nowhere"}, 404, "unknown server 'nowhere'; known: "),
        ("drop", {"all": True, "by": "a" * 101}, 422, "by: String should have at most 100 characters"),
        ("drop", {"all": True, "by": "a\nb"}, 422, "by: use printable characters only"),
        ("drop", {"all": True, "reason": "a" * 501}, 422, "reason: String should have at most 500 characters"),
        ("drop", {"all": True, "id": "7"}, 422, "id: String should match pattern"),
        ("drop", {"all": True, "more": 1}, 422, "more: Extra inputs are not permitted"),
        ("drop", {"issues": ["ABC-1"] * 1001}, 422, "issues: Tuple should have at most 1000 items"),
    ],
)
async def test_a_bad_order_is_refused_with_a_sentence(api, what, order, code, why):
    answer = await api.post(f"/api/orders/{what}", json=order)
    assert answer.status_code == code
    assert why in answer.json()["detail"]


async def test_no_order_is_accepted_before_the_journal_is_read_or_from_another_sites_page(api):
    early = await api.post("/api/orders/retry", json={"all": True})
    foreign = await api.post("/api/orders/retry", json={"all": True}, headers={"Sec-Fetch-Site": "cross-site"})
    assert (early.status_code, early.headers["retry-after"]) == (503, "10")
    assert "the journal is still being read" in early.json()["detail"]
    assert (foreign.status_code, "another site's page" in foreign.json()["detail"]) == (403, True)
    assert (await api.get("/api/orders")).status_code == 503


async def test_a_body_that_is_too_large_is_refused(api):
    assert (await api.post("/api/orders/drop", json={"server": "x" * 1_100_000})).status_code == 413
