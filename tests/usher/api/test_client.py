"""The client of the HTTP APIs: which URLs it requests, and how it handles answers that are not Usher's."""

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
"""Returns the status code and body for a path, or for a path and a body."""
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
def fake_service(answer: Answer) -> Iterator[Client]:
    """Yields a client of a server that gives these answers. Real services never give most of them."""

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
def test_a_service_that_listens_on_all_addresses_is_reached_on_this_machine(host: str, base: str) -> None:
    assert base_url(WebSettings(host=host, port=8003)) == base


def test_pages_are_read_to_the_end() -> None:
    def answer(path: str) -> tuple[int, str]:
        page = int(parse_qs(urlsplit(path).query)["page"][0])
        items = [{**IDLE, "server": f"{page}.{n}"} for n in range(2)]
        return 200, json.dumps({"items": items, "total": 6, "page": page, "pages": 3})

    with fake_service(answer) as client:
        assert [server.server for server in client.servers()] == ["1.0", "1.1", "2.0", "2.1", "3.0", "3.1"]


def test_a_servers_name_is_escaped_in_the_path() -> None:
    asked: list[str] = []

    def answer(path: str) -> tuple[int, str]:
        asked.append(path)
        return 404, '{"detail": "unknown server"}'

    with fake_service(answer) as client, pytest.raises(ServiceError, match="unknown server"):
        client.server("../api?x=#/y")
    assert asked == ["/api/servers/..%2Fapi%3Fx%3D%23%2Fy"]


@pytest.mark.parametrize(
    ("code", "body", "says"),
    [
        (200, "<html>", "is not Usher"),
        (200, "[]", "is not Usher"),
        (200, '{"server": 1}', "does not understand a service's answer .*same version"),
        (500, "oops", "answered /api/servers/x with 500; see its log"),
        (503, '{"reason": "no connection to the broker"}', "no connection to the broker"),
        (422, '{"detail": [{"loc": ["body"], "msg": "Value error, unknown status x"}]}', "^unknown status x$"),
    ],
)
def test_an_unexpected_answer_is_a_clear_error(code: int, body: str, says: str) -> None:
    with fake_service(lambda path: (code, body)) as client, pytest.raises(ServiceError, match=says):
        client.server("x")


def test_a_service_that_does_not_answer_in_time_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("usher.api.client.SECONDS", 0.2)
    over = threading.Event()

    def answer(path: str) -> tuple[int, str]:
        over.wait(5)
        return 200, "{}"

    with fake_service(answer) as client:
        with pytest.raises(ServiceError, match="successes at .* did not answer within"):
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
    "left": [{"issue": "ABC-2", "server": "beta.abc.wwts.com", "why": "it is already waiting"}],
    "scope": None,
    "until": None,
    "warning": False,
    "released_by": None,
    "released": [],
}


def test_every_order_is_sent_with_who_gives_it_and_why_and_its_result_is_read() -> None:
    asked: list[tuple[str, dict[str, object]]] = []

    def answer(path: str, body: str) -> tuple[int, str]:
        asked.append((path, json.loads(body)))
        return 200, json.dumps(ORDER)

    with fake_service(answer) as client:
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


def test_an_order_is_sent_again_with_the_same_id_if_its_answer_is_lost_or_early(
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

    with fake_service(answer) as client:
        state = client.withdraw(["ABC-1"])
        over.set()
    assert (state.state, len(ids), len(set(ids))) == ("done", 3, 1)


def test_an_order_is_sent_again_if_the_connection_breaks_before_the_answer() -> None:
    ids: list[str] = []

    def answer(path: str, body: str) -> tuple[int, str]:
        ids.append(json.loads(body)["id"])
        if len(ids) == 1:
            raise ConnectionAbortedError
        return 200, json.dumps(ORDER)

    with fake_service(answer) as client:
        state = client.withdraw(["ABC-1"])
    assert (state.state, len(ids), len(set(ids))) == ("done", 2, 1)


def test_an_order_that_was_accepted_stays_accepted_if_asking_for_its_end_fails() -> None:
    asked: list[str] = []

    def answer(path: str) -> tuple[int, str]:
        asked.append(path)
        if len(asked) == 1:
            return 202, json.dumps({**ORDER, "state": "requested"})
        return 503, json.dumps({"detail": "the broker is not reachable"})

    with fake_service(answer) as client:
        assert client.withdraw(["ABC-1"]).state == "requested"


def test_an_order_whose_answer_was_lost_is_not_reported_as_refused_because_a_repetition_fails() -> None:
    asked: list[str] = []

    def answer(path: str) -> tuple[int, str]:
        asked.append(path)
        if len(asked) == 1:
            raise ConnectionAbortedError
        return 503, json.dumps({"detail": "the broker is not reachable"})

    with fake_service(answer) as client, pytest.raises(ServiceError, match="may still be carried out"):
        client.withdraw(["ABC-1"])


def test_the_error_for_an_unanswered_order_names_its_id(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("usher.api.client.SECONDS", 0.1)
    over = threading.Event()

    def answer(path: str) -> tuple[int, str]:
        over.wait(5)
        return 200, "{}"

    with fake_service(answer) as client:
        with pytest.raises(ServiceError, match="may still be carried out: check with `usher orders [0-9a-f]{32}`"):
            client.withdraw(["ABC-1"])
        over.set()


def test_orders_are_listed_and_found_by_id() -> None:
    asked: list[str] = []

    def answer(path: str) -> tuple[int, str]:
        asked.append(path)
        page = {"items": [ORDER], "total": 1, "page": 1, "pages": 1}
        return 200, json.dumps(page if "?" in path else ORDER)

    with fake_service(answer) as client:
        assert client.orders(20, by="jane@desk") == [client.order("../x")]
    assert asked == ["/api/orders?by=jane%40desk&page=1&per_page=20", "/api/orders/..%2Fx"]


def test_orders_name_the_user_and_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    def nameless() -> str:
        raise KeyError("uid not found")

    assert who().endswith(f"@{socket.gethostname()}")
    monkeypatch.setattr("getpass.getuser", nameless)
    assert who() == f"{os.getuid()}@{socket.gethostname()}"


@pytest.mark.slow
def test_an_usher_that_listens_on_ipv6_is_reached(whole, folder) -> None:
    with (
        whole(TRACKERS__HOST="::", DEPLOYS__HOST="::1", SUCCESSES__HOST="[::1]") as variables,
        Client(load(variables)) as client,
    ):
        assert [client.ready(service) for service in ("trackers", "deploys", "successes")] == [None] * 3
        assert client.send("ABC-111", "beta").server in {server.server for server in client.servers()}
