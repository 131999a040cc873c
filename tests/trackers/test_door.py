"""The door over HTTP, with a real broker: an accepted message is in the queue; any other answer says what to do."""

import asyncio
import hashlib
import hmac
import json
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import AbstractAsyncContextManager
from typing import Any

import httpx
import pytest

from usher.broker import topology
from usher.broker.link import Link, connect
from usher.core.ignored import IgnoredMove
from usher.core.messages import BackMessage
from usher.core.orders import WithdrawOrder
from usher.core.servers import Server
from usher.local.choose import Broker
from usher.settings import Settings

MakeSettings = Callable[..., Settings]
Running = Callable[[Settings], AbstractAsyncContextManager[httpx.AsyncClient]]
ReadJournal = Callable[[Settings], Awaitable[list[BackMessage]]]
ReadOrders = Callable[[Settings], Awaitable[list[WithdrawOrder]]]
ReadIgnored = Callable[[Settings], Awaitable[list[IgnoredMove]]]
ReadQueue = Callable[[Settings, str], Awaitable[BackMessage]]

SECRET = "It's a Secret to Everybody"


@pytest.fixture
def settings(make_settings: MakeSettings) -> Settings:
    return make_settings(
        PROJECTS__PEAR__STATUSES='["test", "beta"]', STATUSES__BETA__JIRA='["Beta"]', TRACKERS__BODY_LIMIT="8KiB"
    )


@pytest.fixture
def secret_settings(make_settings: MakeSettings) -> Settings:
    return make_settings(PROJECTS__PEAR__STATUSES='["beta"]', STATUSES__BETA__JIRA='["Beta"]', JIRA__SECRET=SECRET)


def sign(body: bytes) -> dict[str, str]:
    return {"X-Hub-Signature": "sha256=" + hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()}


async def test_an_accepted_move_is_in_its_servers_queue_and_in_the_journal(
    settings: Settings,
    running: Running,
    journal: ReadJournal,
    first_in_queue: ReadQueue,
    cloud_move: dict[str, Any],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    async with running(settings) as http:
        answer = await http.post("/webhooks/jira?secret=tangerine", json=cloud_move)
    assert answer.status_code == 202
    (accepted,) = answer.json()["messages"]
    assert answer.json() == {
        "outcome": "accepted",
        "messages": [{"id": accepted["id"], "issue": "PEAR-12", "status": "beta", "server": "beta.pear.wwts.com"}],
        "order": None,
    }
    message = await first_in_queue(settings, "beta.pear.wwts.com")
    assert (message.id, str(message.issue), message.source) == (accepted["id"], "PEAR-12", "jira")
    assert message.moved_at == cloud_move["timestamp"]
    assert await journal(settings) == [message]
    lines = [r.getMessage() for r in caplog.records if r.name == "trackers.door"]
    assert lines == [f"accepted {accepted['id']}: PEAR-12 for beta.pear.wwts.com, from jira"]
    # httpx is the client of this test
    assert not [r for r in caplog.records if "tangerine" in r.getMessage() and r.name != "httpx"]


async def test_a_move_that_is_sent_twice_is_one_message(
    settings: Settings, running: Running, cloud_move: dict[str, Any]
) -> None:
    async with running(settings) as http:
        once = (await http.post("/webhooks/jira", json=cloud_move)).json()
        again = (await http.post("/webhooks/jira", json={**cloud_move, "timestamp": 1763847900000})).json()
        cloud_move["changelog"]["id"] = "20482"
        other = (await http.post("/webhooks/jira", json=cloud_move)).json()
    assert once == again != other


async def test_an_ignored_move_is_answered_logged_and_published(
    settings: Settings,
    running: Running,
    ignored_moves: ReadIgnored,
    cloud_move: dict[str, Any],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    cloud_move["issue"]["key"] = "XYZ-1"
    async with running(settings) as http:
        answer = await http.post("/webhooks/jira", json=cloud_move)
        no_move = await http.post("/webhooks/jira", json={"webhookEvent": "comment_created"})
        again = await http.post("/webhooks/jira", json=cloud_move)
    first, second = await ignored_moves(settings)
    assert answer.status_code == no_move.status_code == 200
    assert answer.json() == {"outcome": "ignored", "reason": "unknown project XYZ; add [projects.xyz]"}
    assert no_move.json()["outcome"] == "ignored"
    assert (first.issue, first.status, first.reason, first.accept) == (
        "XYZ-1", "Beta", "unknown project XYZ; add [projects.xyz]", "[projects.xyz]",
    )  # fmt: skip
    assert (second.id, again.json()) == (first.id, answer.json())
    lines = [r.getMessage() for r in caplog.records if r.name == "trackers.door"]
    assert lines == ["ignored XYZ-1 to Beta: unknown project XYZ; add [projects.xyz]"] * 2


async def test_a_message_keeps_who_moved_the_issue(
    settings: Settings, running: Running, journal: ReadJournal, cloud_move: dict[str, Any]
) -> None:
    cloud_move["user"] = {"displayName": "Jane \x1b[2J Doe", "accountId": "5b10a2844c20165700ede21g"}
    async with running(settings) as http:
        await http.post("/webhooks/jira", json=cloud_move)
        await http.post("/messages", json={"issue_id": "PEAR-7", "status": "beta", "by": "jane@desk"})
        await http.post("/messages", json={"issue_id": "PEAR-8", "status": "beta"})
        bad = [await http.post("/messages", json={"issue_id": "PEAR-8", "status": "beta", "by": by})
               for by in ("a\nb", "x" * 101)]  # fmt: skip
    by = [(message.moved_by, message.moved_by_id) for message in await journal(settings)]
    assert by == [("Jane \\x1b[2J Doe", "5b10a2844c20165700ede21g"), ("jane@desk", None), ("127.0.0.1", None)]
    assert [answer.status_code for answer in bad] == [422, 422]


async def test_an_issue_that_gets_another_key_is_withdrawn_under_its_former_key(
    settings: Settings, running: Running, orders: ReadOrders, cloud_move: dict[str, Any]
) -> None:
    cloud_move["user"] = {"displayName": "Jane Doe"}
    renamed = {"field": "Key", "fieldtype": "jira", "fromString": "PEAR-50", "toString": "PEAR-12"}
    cloud_move["changelog"]["items"].append(renamed)
    only_renamed = {**cloud_move, "changelog": {"id": "77", "items": [renamed]}}
    foreign = {**cloud_move, "changelog": {"id": "78", "items": [{**renamed, "fromString": "XYZ-50"}]}}
    async with running(settings) as http:
        first = await http.post("/webhooks/jira", json=cloud_move)
        again = await http.post("/webhooks/jira", json=cloud_move)
        alone = await http.post("/webhooks/jira", json=only_renamed)
        ignored = await http.post("/webhooks/jira", json=foreign)
    one, other, last = await orders(settings)
    assert (first.status_code, alone.status_code, ignored.status_code) == (202, 202, 200)
    assert [message["issue"] for message in first.json()["messages"]] == ["PEAR-12"]
    assert first.json() == again.json()
    assert first.json()["order"] == one.id == other.id != last.id == alone.json()["order"]
    assert (one.by, one.reason) == ("Jane Doe", "PEAR-50 is now PEAR-12")
    assert [str(issue) for issue in one.issues] == ["PEAR-50"]
    assert set(one.servers) == {"test.pear.wwts.com", "beta.pear.wwts.com"}


async def test_a_body_that_is_not_json_is_refused(settings: Settings, running: Running) -> None:
    async with running(settings) as http:
        for body in (b"", b"{", b'{"summary": "the "early" pears"}', b"\xff\0", b"[" * 8000):
            answer = await http.post("/webhooks/jira", content=body)
            assert answer.status_code == 400
            assert answer.json()["detail"].startswith("the body is not JSON")


async def test_hostile_keys_and_names_are_answered_and_never_published(
    settings: Settings, running: Running, journal: ReadJournal, cloud_move: dict[str, Any]
) -> None:
    async with running(settings) as http:
        for key in ("ABC-1;id", "--x", "PEAR-" + "1" * 300, "PEAR-1\0", "\ud800", "ПЕАР-1", None, 7, []):
            cloud_move["issue"]["key"] = key
            assert (await http.post("/webhooks/jira", content=json.dumps(cloud_move))).status_code == 200
            front = json.dumps({"issue_id": key, "status": "beta"})
            assert (await http.post("/messages", content=front)).status_code == 422
        cloud_move["issue"]["key"] = "PEAR-1"
        for name in ("\ud800", "\0\r\nHTTP/1.1 200", "\u202egnirps", "x" * 300, "\x1b[2J"):
            cloud_move["changelog"]["items"][0].update(to=None, toString=name)
            assert (await http.post("/webhooks/jira", content=json.dumps(cloud_move))).status_code == 200
            front = json.dumps({"issue_id": "PEAR-1", "status": name})
            assert (await http.post("/messages", content=front)).status_code == 422
    assert await journal(settings) == []


class TestSecret:
    async def test_a_signed_and_recent_move_is_accepted(
        self, secret_settings: Settings, running: Running, cloud_move: dict[str, Any]
    ) -> None:
        cloud_move["timestamp"] = time.time_ns() // 1_000_000
        body = json.dumps(cloud_move).encode()
        async with running(secret_settings) as http:
            assert (await http.post("/webhooks/jira", content=body, headers=sign(body))).status_code == 202

    async def test_anything_else_is_refused(
        self, secret_settings: Settings, running: Running, journal: ReadJournal, cloud_move: dict[str, Any]
    ) -> None:
        now = time.time_ns() // 1_000_000
        fresh = json.dumps({**cloud_move, "timestamp": now}).encode()
        old = json.dumps({**cloud_move, "timestamp": now - 25 * 3600 * 1000}).encode()
        right = sign(fresh)["X-Hub-Signature"]
        refused: list[tuple[bytes, dict[str, Any], str]] = [
            (fresh, {}, "missing"),
            (fresh, {"X-Hub-Signature": right[:-1]}, "wrong"),
            (fresh, {"X-Hub-Signature": right.replace("sha256", "sha1")}, "form"),
            (fresh, {"X-Hub-Signature": b"sha256=\xff\xfe"}, "wrong"),
            (fresh + b" ", {"X-Hub-Signature": right}, "wrong"),
            (b"{", {}, "missing"),
            (old, sign(old), "24 hours"),
        ]
        async with running(secret_settings) as http:
            for body, headers, why in refused:
                answer = await http.post("/webhooks/jira", content=body, headers=headers)
                assert answer.status_code == 401
                assert why in answer.json()["detail"]
            signed = await http.post("/webhooks/jira", content=b"Hello World!", headers=sign(b"Hello World!"))
            assert signed.status_code == 400
        assert await journal(secret_settings) == []


class TestBodyLimit:
    async def test_a_larger_body_is_refused(self, settings: Settings, running: Running) -> None:
        async def endless() -> AsyncIterator[bytes]:
            for _ in range(100):
                yield b" " * 1024

        async with running(settings) as http:
            for path in ("/webhooks/jira", "/messages"):
                for body in (b" " * (8 * 1024 + 1), endless()):
                    answer = await http.post(path, content=body)
                    assert answer.status_code == 413
                    assert "8192 bytes" in answer.json()["detail"]
                just_fits = await http.post(path, content=b" " * (8 * 1024))
                assert just_fits.status_code in {400, 422}

    async def test_it_is_refused_before_it_has_arrived_completely(self, settings: Settings, running: Running) -> None:
        async with running(settings) as http:
            for head, start in (
                (b"Content-Length: 99999999999\r\n", b""),
                (b"Transfer-Encoding: chunked\r\n", b"3000\r\n" + b" " * 0x3000 + b"\r\n"),
            ):
                reader, writer = await asyncio.open_connection(http.base_url.host, http.base_url.port)
                writer.write(b"POST /webhooks/jira HTTP/1.1\r\nHost: usher\r\n" + head + b"\r\n" + start)
                async with asyncio.timeout(5):
                    assert b" 413 " in await reader.readline()
                writer.close()
                await writer.wait_closed()

    async def test_a_sender_that_disconnects_midway_does_no_harm(
        self, settings: Settings, running: Running, caplog: pytest.LogCaptureFixture
    ) -> None:
        async with running(settings) as http:
            _, writer = await asyncio.open_connection(http.base_url.host, http.base_url.port)
            writer.write(b"POST /webhooks/jira HTTP/1.1\r\nHost: usher\r\nContent-Length: 900\r\n\r\n{")
            await writer.drain()
            writer.close()
            await writer.wait_closed()
            assert (await http.get("/health")).status_code == 200
        assert "Exception" not in caplog.text

    async def test_a_body_of_the_default_limit_is_accepted(
        self, make_settings: MakeSettings, running: Running, cloud_move: dict[str, Any]
    ) -> None:
        settings = make_settings(PROJECTS__PEAR__STATUSES='["beta"]', STATUSES__BETA__JIRA='["Beta"]')
        cloud_move["more"] = ""
        cloud_move["more"] = "x" * (settings.trackers.body_limit - len(json.dumps(cloud_move)))
        async with running(settings) as http:
            assert (await http.post("/webhooks/jira", content=json.dumps(cloud_move))).status_code == 202


class TestMessages:
    async def test_a_message_is_accepted_as_it_travels(
        self, settings: Settings, running: Running, first_in_queue: ReadQueue
    ) -> None:
        async with running(settings) as http:
            answer = await http.post("/messages", json={"issue_id": "PEAR-3", "status": "Beta"})
        assert answer.status_code == 201
        message = BackMessage(**answer.json())
        assert (str(message.issue), message.server, message.source) == ("PEAR-3", "beta.pear.wwts.com", "api")
        assert await first_in_queue(settings, "beta.pear.wwts.com") == message

    async def test_every_request_is_a_separate_message(self, settings: Settings, running: Running) -> None:
        front = {"issue_id": "PEAR-3", "status": "beta"}
        async with running(settings) as http:
            ids = {(await http.post("/messages", json=front)).json()["id"] for _ in range(3)}
        assert len(ids) == 3

    async def test_the_answer_to_an_invalid_message_says_what_is_wrong(
        self, settings: Settings, running: Running
    ) -> None:
        async with running(settings) as http:
            unknown = await http.post("/messages", json={"issue_id": "XYZ-3", "status": "beta"})
            no_json = await http.post("/messages", content=b"issue_id=PEAR-3")
        assert (unknown.status_code, no_json.status_code) == (422, 422)
        assert unknown.json() == {"detail": "unknown project XYZ; add [projects.xyz]"}
        assert no_json.json()["detail"].startswith("the body is not JSON")


class TestBroker:
    @pytest.mark.slow
    async def test_without_it_the_sender_is_asked_to_try_again(
        self,
        settings: Settings,
        running: Running,
        until,
        broker: Broker,
        vhost_url: str,
        cloud_move: dict[str, Any],
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        vhost = vhost_url.rpartition("/")[2]
        async with (
            httpx.AsyncClient(base_url=broker.console, auth=broker.credentials, timeout=30) as console,
            running(settings) as http,
        ):
            (await console.delete(f"/api/vhosts/{vhost}")).raise_for_status()
            await until(http, 503)
            for path, body in (
                ("/webhooks/jira", cloud_move),
                ("/messages", {"issue_id": "PEAR-3", "status": "beta"}),
            ):
                answer = await http.post(path, json=body)
                assert answer.status_code == 503
                assert int(answer.headers["Retry-After"]) > 0
                assert "broker" in answer.json()["detail"]
            assert (await http.get("/health")).json()["status"] == "ok"
            # the broker answers and refuses: wait until the service has tried to reconnect at least once
            async with asyncio.timeout(15):
                while "the broker refuses" not in caplog.text:
                    await asyncio.sleep(0.05)
            (await console.put(f"/api/vhosts/{vhost}")).raise_for_status()
            await until(http, 200, seconds=30)
            assert (await http.post("/webhooks/jira", json=cloud_move)).status_code == 202

    @pytest.mark.slow
    async def test_a_deleted_exchange_is_declared_again(
        self, settings: Settings, running: Running, until, cloud_move: dict[str, Any]
    ) -> None:
        async with running(settings) as http:
            async with connect(settings.broker, "test") as link:
                await (await link.publishing.raw.channel()).exchange_delete(topology.MESSAGES)
            answer = await http.post("/webhooks/jira", json=cloud_move)
            assert answer.status_code == 503
            await until(http, 200, seconds=30)
            assert (await http.post("/webhooks/jira", json=cloud_move)).status_code == 202

    async def test_a_connection_lost_during_setup_is_opened_again(
        self, settings: Settings, running: Running, monkeypatch: pytest.MonkeyPatch, cloud_move: dict[str, Any]
    ) -> None:
        declare, closed = topology.declare, asyncio.Event()

        async def declare_on_a_closed_connection(link: Link, servers: Iterable[Server]) -> None:
            if not closed.is_set():
                closed.set()
                await link.publishing.close()
            await declare(link, servers)

        monkeypatch.setattr(topology, "declare", declare_on_a_closed_connection)
        async with running(settings) as http:
            assert closed.is_set()
            assert (await http.post("/webhooks/jira", json=cloud_move)).status_code == 202


async def test_the_documentation_pages_load_nothing_from_other_hosts(settings: Settings, running: Running) -> None:
    async with running(settings) as http:
        docs = (await http.get("/docs")).text
        schema = (await http.get("/openapi.json")).json()
    assert "http://" not in docs
    assert "https://" not in docs
    body = schema["paths"]["/messages"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert body["required"] == ["issue_id", "status"]
