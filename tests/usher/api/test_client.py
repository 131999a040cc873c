"""The client of the HTTP APIs: where it asks, and what it makes of answers that are not Usher's."""

import inspect
import json
import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import pytest

from usher.api.client import Client, base_url, who
from usher.core.errors import ServiceError
from usher.settings import Settings, load
from usher.settings.sections import WebSettings

Answer = Callable[..., tuple[int, str]]
"""What is answered to a path, or to a path and a body."""
IDLE = {
    "project": "abc",
    "status": "beta",
    "state": "idle",
    "waiting": [],
    "waiting_messages": 0,
    "command": None,
    "rehearsed": True,
    "window_opened_at": None,
    "window_closes_at": None,
    "running": None,
    "last": None,
}


@contextmanager
def something_that_answers(answer: Answer) -> Iterator[Client]:
    """A client of a server that answers anything at all: real services never say these things."""

    takes_bodies = len(inspect.signature(answer).parameters) == 2

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.say(*answer(self.path))

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            self.say(*(answer(self.path, body) if takes_bodies else answer(self.path)))

        def say(self, code: int, body: str) -> None:
            self.send_response(code)
            self.send_header("Content-Length", str(len(body.encode())))
            with suppress(ConnectionError):  # a client that gave up
                self.end_headers()
                self.wfile.write(body.encode())

        def log_message(self, *_: object) -> None:
            return

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            with Client(settings_on(server.server_address[1])) as client:
                yield client
        finally:
            server.shutdown()
            thread.join()


def settings_on(port: int) -> Settings:
    return load({"USHER_TRACKERS__PORT": str(port), "USHER_SUCCESSES__PORT": str(port)})


@pytest.mark.parametrize(
    ("host", "base"),
    [
        ("127.0.0.1", "http://127.0.0.1:8003"),
        ("0.0.0.0", "http://127.0.0.1:8003"),
        ("::", "http://[::1]:8003"),
        ("build.wwts.com", "http://build.wwts.com:8003"),
    ],
)
def test_a_service_that_listens_everywhere_is_asked_on_this_machine(host: str, base: str) -> None:
    assert base_url(WebSettings(host=host, port=8003)) == base


def test_pages_are_read_to_the_end() -> None:
    def answer(path: str) -> tuple[int, str]:
        page = int(parse_qs(urlsplit(path).query)["page"][0])
        items = [{**IDLE, "server": f"{page}.{n}"} for n in range(2)]
        return 200, json.dumps({"items": items, "total": 6, "page": page, "pages": 3})

    with something_that_answers(answer) as client:
        assert [server.server for server in client.servers()] == ["1.0", "1.1", "2.0", "2.1", "3.0", "3.1"]


def test_a_server_s_name_is_one_part_of_the_address_whatever_it_holds() -> None:
    asked: list[str] = []

    def answer(path: str) -> tuple[int, str]:
        asked.append(path)
        return 404, '{"detail": "unknown server"}'

    with something_that_answers(answer) as client, pytest.raises(ServiceError, match="unknown server"):
        client.server("../api?x=#/y")
    assert asked == ["/api/servers/..%2Fapi%3Fx%3D%23%2Fy"]


@pytest.mark.parametrize(
    ("code", "body", "says"),
    [
        (200, "<html>", "is not Usher"),
        (200, "[]", "is not Usher"),
        (200, '{"server": 1}', "does not understand .*same version"),
        (500, "oops", "answers 500 to /api/servers/x; see its log"),
        (503, '{"reason": "no connection to the broker"}', "no connection to the broker"),
        (422, '{"detail": [{"loc": ["body"], "msg": "Value error, unknown status x"}]}', "^unknown status x$"),
    ],
)
def test_an_answer_that_is_not_what_was_asked_for_is_a_sentence(code: int, body: str, says: str) -> None:
    with something_that_answers(lambda path: (code, body)) as client, pytest.raises(ServiceError, match=says):
        client.server("x")


def test_a_service_that_gives_no_answer_in_time_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("usher.api.client.SECONDS", 0.2)
    over = threading.Event()

    def answer(path: str) -> tuple[int, str]:
        over.wait(5)
        return 200, "{}"

    with something_that_answers(answer) as client:
        with pytest.raises(ServiceError, match="successes at .* gives no answer within"):
            client.server("x")
        over.set()


ORDER = {
    "id": "0" * 32,
    "order": "withdraw",
    "by": "jane@desk",
    "reason": "",
    "at": "2026-11-22T21:40:00.123Z",
    "servers": ["beta.abc.wwts.com"],
    "issues": ["ABC-1"],
    "deploy": None,
    "state": "done",
    "done_at": "2026-11-22T21:40:00.456Z",
    "abridged": False,
    "messages": [{"id": "0" * 32, "issue": "ABC-1", "server": "beta.abc.wwts.com", "attempt": 2}],
    "running": [],
    "left": [{"issue": "ABC-2", "server": "beta.abc.wwts.com", "why": "waits already"}],
}


def test_every_order_says_who_gives_it_and_why_and_reads_what_came_of_it() -> None:
    asked: list[tuple[str, dict[str, object]]] = []

    def answer(path: str, body: str) -> tuple[int, str]:
        asked.append((path, json.loads(body)))
        return 200, json.dumps(ORDER)

    with something_that_answers(answer) as client:
        states = [
            client.withdraw(["ABC-1", "ABC-2"], "beta.abc.wwts.com", reason="wrong release"),
            client.order_parked("retry", None, ["ABC-1"]),
            client.order_parked("drop", None, (), everything=True),
            client.retry("0123456789ab"),
        ]
    assert [state.model_dump(mode="json") for state in states] == [ORDER] * 4
    ids = [body.pop("id") for _, body in asked]
    assert len(set(ids)) == 4
    assert asked == [
        (
            "/api/orders/withdraw",
            {
                "by": who(),
                "issues": ["ABC-1", "ABC-2"],
                "server": "beta.abc.wwts.com",
                "reason": "wrong release",
            },
        ),
        ("/api/orders/retry", {"by": who(), "issues": ["ABC-1"]}),
        ("/api/orders/drop", {"by": who(), "all": True}),
        ("/api/orders/retry", {"by": who(), "deploy": "0123456789ab"}),
    ]


def test_an_order_whose_answer_is_lost_or_early_is_asked_for_again_with_the_same_id(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("usher.api.client.SECONDS", 0.2)
    ids: list[str] = []
    over = threading.Event()

    def answer(path: str, body: str) -> tuple[int, str]:
        ids.append(json.loads(body)["id"])
        if len(ids) == 1:
            over.wait(5)
        state = "done" if len(ids) == 3 else "requested"
        return 200 if state == "done" else 202, json.dumps({**ORDER, "state": state})

    with something_that_answers(answer) as client:
        state = client.withdraw(["ABC-1"])
        over.set()
    assert (state.state, len(ids), len(set(ids))) == ("done", 3, 1)


def test_an_order_that_is_never_answered_names_its_id(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("usher.api.client.SECONDS", 0.1)
    over = threading.Event()

    def answer(path: str) -> tuple[int, str]:
        over.wait(5)
        return 200, "{}"

    with something_that_answers(answer) as client:
        with pytest.raises(ServiceError, match="may be carried out all the same: `usher orders [0-9a-f]{32}` says so"):
            client.withdraw(["ABC-1"])
        over.set()


def test_orders_are_listed_and_found_by_their_id() -> None:
    asked: list[str] = []

    def answer(path: str) -> tuple[int, str]:
        asked.append(path)
        page = {"items": [ORDER], "total": 1, "page": 1, "pages": 1}
        return 200, json.dumps(page if "?" in path else ORDER)

    with something_that_answers(answer) as client:
        assert client.orders(20, by="jane@desk") == [client.order("../x")]
    assert asked == ["/api/orders?by=jane%40desk&page=1&per_page=20", "/api/orders/..%2Fx"]


def test_who_gives_an_order_is_a_user_on_a_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    def nameless() -> str:
        raise KeyError("uid not found")

    assert who().endswith(f"@{socket.gethostname()}")
    monkeypatch.setattr("getpass.getuser", nameless)
    assert who() == f"{os.getuid()}@{socket.gethostname()}"
