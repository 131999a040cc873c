"""The HTTP API: filters, pages, and clear errors."""

import re
from functools import partial

import httpx
import pytest

from successes.ledger.writes import Moved, News, write_ignored
from successes.orders.desk import Desk
from successes.web.app import make_app
from usher.api.types import Deploy, MessageState, ServerState
from usher.core.board.board import Board
from usher.core.events import DeployInterrupted, Outcome
from usher.core.ignored import IgnoredMove
from usher.core.states import State
from usher.runtime.clock import SystemClock


async def ready():
    return True


@pytest.fixture
def board():
    return Board()


@pytest.fixture
async def api(settings, ledger, board):
    app = make_app(settings, ledger, lambda: board, Desk(ledger, SystemClock()), ready)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://successes") as client:
        yield client


@pytest.fixture
async def passed(ledger, make):
    """Three deployed messages of two issues, and a waiting one. Returns the result."""
    messages = [make.message(key) for key in ("ABC-113", "ABC-111", "ABC-113")]
    waits = make.message("DEF-7", "test")
    taken = make.taken(*messages)
    await ledger.write(
        News(
            received={m.id: (m, 1) for m in (*messages, waits)},
            taken=[(taken, taken.messages)],
            moved={m.id: Moved(State.DEPLOYING, taken.deploy, taken.taken_at) for m in messages},
        )
    )
    ended = make.ended(*messages, taken=taken)
    await ledger.write(News(ended=[ended]))
    return ended


async def test_messages_are_listed_with_their_states_newest_first(api, passed):
    answer = (await api.get("/api/messages")).json()
    assert {key: answer[key] for key in ("total", "page", "pages")} == {"total": 4, "page": 1, "pages": 1}
    assert [(item["issue"], item["state"]) for item in answer["items"]] == [
        ("DEF-7", "waiting"),
        ("ABC-113", "deployed"),
        ("ABC-111", "deployed"),
        ("ABC-113", "superseded"),
    ]
    first = answer["items"][1]
    assert (first["project"], first["status"], first["server"]) == ("abc", "beta", "beta.abc.wwts.com")
    assert (first["deploy"], first["received"], first["source"]) == (passed.deploy, 1, "jira")
    assert first["queued_at"] == "2027-01-15T08:00:03.000Z"
    assert first["moved_at"] == "2027-01-15T08:00:02.995Z"
    for item in answer["items"]:
        MessageState.model_validate(item)


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("project=ABC", 3),
        ("project=def&status=test", 1),
        ("project=abc&status=test", 0),
        ("state=superseded", 1),
        ("issue=abc-113", 2),
        ("server=test.def.wwts.com", 1),
        ("issue=ABC-113&state=deployed&server=beta.abc.wwts.com", 1),
        ("project=x' OR '1'='1", 0),
    ],
)
async def test_messages_can_be_filtered(api, passed, query, found):
    answer = (await api.get(f"/api/messages?{query}")).json()
    assert answer["total"] == len(answer["items"]) == found


async def test_pages_neither_lose_nor_repeat_anything(api, passed):
    pages = [(await api.get(f"/api/messages?per_page=3&page={page}")).json() for page in (1, 2, 3)]
    assert [len(page["items"]) for page in pages] == [3, 1, 0]
    assert {(page["total"], page["pages"]) for page in pages} == {(4, 2)}
    ids = [item["id"] for page in pages for item in page["items"]]
    assert len(set(ids)) == 4


async def test_an_empty_list_has_one_empty_page(api):
    assert (await api.get("/api/deploys")).json() == {"items": [], "total": 0, "page": 1, "pages": 1}


async def test_a_deploy_is_shown_with_the_issues_that_it_covers(api, passed):
    [item] = (await api.get("/api/deploys?server=beta.abc.wwts.com&outcome=passed")).json()["items"]
    assert item == (await api.get(f"/api/deploys/{passed.deploy}")).json()
    deploy = Deploy.model_validate(item)
    assert [str(issue) for issue in deploy.issues] == ["ABC-111", "ABC-113"]
    assert (deploy.messages, deploy.outcome, deploy.exit_code) == (3, "passed", 0)
    assert deploy.command == passed.command
    assert "output" not in item
    assert (await api.get("/api/deploys?outcome=failed")).json()["total"] == 0


async def test_a_running_deploy_has_no_outcome_and_no_output_yet(api, ledger, make):
    message = make.message("ABC-1")
    taken = make.taken(message)
    await ledger.write(News(received={message.id: (message, 1)}, taken=[(taken, taken.messages)]))
    deploy = Deploy.model_validate((await api.get(f"/api/deploys/{taken.deploy}")).json())
    assert (deploy.outcome, deploy.ended_at, deploy.command, deploy.rehearsed) == (None, None, None, True)
    assert "it is still running" in (await api.get(f"/api/deploys/{taken.deploy}/log")).text
    cut = DeployInterrupted(deploy=taken.deploy, server=taken.server, by="x", reason="stopped", at=make.clock)
    await ledger.write(News(interrupted=[cut]))
    assert "it was interrupted" in (await api.get(f"/api/deploys/{taken.deploy}/log")).text


async def test_a_log_is_plain_text_as_the_command_printed_it(api, passed):
    answer = await api.get(f"/api/deploys/{passed.deploy}/log")
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert answer.text == "what it printed\n"


async def test_a_truncated_log_begins_by_saying_so_and_names_the_file(api, ledger, make):
    ended = make.ended(make.message("ABC-1"), outcome=Outcome.FAILED, truncated=True, output="the end\n")
    await ledger.write(News(ended=[ended]))
    first, rest = (await api.get(f"/api/deploys/{ended.deploy}/log")).text.split("\n", 1)
    assert first.startswith("[truncated")
    assert "/logs/it.log on the deploys host" in first
    assert rest == "the end\n"


async def test_servers_come_from_the_board(api, board, make):
    message = make.message("ABC-111")
    board.apply(message, now=message.queued_at, read_at=0)
    answer = (await api.get("/api/servers")).json()
    servers = [ServerState.model_validate(item) for item in answer["items"]]
    assert answer["total"] == len(servers) > 1
    assert [server.server for server in servers if server.state == "waiting"] == ["beta.abc.wwts.com"]
    one = (await api.get("/api/servers/beta.abc.wwts.com")).json()
    assert one["waiting"] == ["ABC-111"]
    assert one["window_closes_at"].endswith("Z")
    second = (await api.get("/api/servers?per_page=1&page=2")).json()
    assert [item["server"] for item in second["items"]] == [servers[1].server]


async def test_before_the_journal_is_read_servers_are_a_503(settings, ledger):
    app = make_app(settings, ledger, lambda: None, Desk(ledger, SystemClock()), ready)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://successes") as client:
        answer = await client.get("/api/servers")
    assert (answer.status_code, answer.json()["detail"]) == (
        503,
        "the journal is still being read; try again in a few seconds",
    )


@pytest.mark.parametrize(
    ("path", "sentence"),
    [
        ("/api/servers/beta.xyz.wwts.com", "unknown server 'beta.xyz.wwts.com'; known: "),
        ("/api/deploys/123456789abc", "no deploy '123456789abc' is known; /api/deploys lists them"),
        ("/api/deploys/123456789abc/log", "no deploy '123456789abc' is known; /api/deploys lists them"),
    ],
)
async def test_an_unknown_server_or_deploy_is_a_404_with_a_sentence(api, path, sentence):
    answer = await api.get(path)
    assert answer.status_code == 404
    assert answer.json()["detail"].startswith(sentence)


@pytest.mark.parametrize(
    "query",
    [
        "messages?page=0",
        "messages?page=x",
        "messages?page=99999999999999999999",
        "messages?per_page=501",
        "messages?state=gone",
        "messages?issue=ABC-0",
        "deploys?outcome=lost",
        "deploys?per_page=0",
        "servers?page=-1",
    ],
)
async def test_a_bad_page_or_filter_is_a_422(api, query):
    answer = await api.get(f"/api/{query}")
    assert answer.status_code == 422
    assert answer.json()["detail"]


async def test_a_page_far_beyond_the_end_is_empty(api, passed):
    assert (await api.get("/api/messages?page=1000000000&per_page=500")).json()["items"] == []


async def test_a_ledger_that_cannot_be_read_is_a_503_with_a_sentence(api, ledger):
    with ledger.writing() as connection:
        connection.exec_driver_sql("DROP TABLE covers")
        connection.exec_driver_sql("DROP TABLE messages")
    answer = await api.get("/api/messages")
    assert answer.status_code == 503
    assert re.search('cannot be read: (no such table|relation "messages" does not exist)', answer.json()["detail"])


async def test_ignored_moves_are_listed_newest_first_and_can_be_filtered_by_issue(api, ledger):
    moves = [
        IgnoredMove(id=f"{n:032x}", at=n, issue=issue, status="QA", reason="unknown status", moved_by="Jane")
        for n, issue in enumerate(("ABC-1", "ABC-2", "ABC-1"), start=1)
    ]
    for _ in range(2):  # a repeated delivery changes nothing
        await ledger.change(partial(write_ignored, moves=moves))
    everything = (await api.get("/api/ignored")).json()["items"]
    of_one = (await api.get("/api/ignored?issue=abc-2")).json()["items"]
    assert [item["id"][-1] for item in everything] == ["3", "2", "1"]
    assert of_one == [
        {
            "id": f"{2:032x}", "at": "1970-01-01T00:00:00.002Z", "issue": "ABC-2", "status": "QA",
            "reason": "unknown status", "accept": None, "moved_by": "Jane",
        }
    ]  # fmt: skip


async def test_openapi_describes_all_routes(api):
    paths = (await api.get("/openapi.json")).json()["paths"]
    assert {path for path in paths if path.startswith("/api")} == {
        "/api/servers",
        "/api/servers/{server}",
        "/api/messages",
        "/api/deploys",
        "/api/deploys/{deploy}",
        "/api/deploys/{deploy}/log",
        "/api/parked",
        "/api/ignored",
        "/api/orders",
        "/api/orders/{order}",
        "/api/orders/withdraw",
        "/api/orders/retry",
        "/api/orders/drop",
        "/api/orders/abort",
        "/api/orders/hold",
        "/api/orders/release",
        "/api/holds",
    }
