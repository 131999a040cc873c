"""The HTTP interface of trackers against what other pages, wrong addresses and old proxies send it."""

import asyncio
import json
import logging

import pytest

from trackers.service import serve_on
from usher.runtime.listening import listen

FRONT = {"issue_id": "PEAR-3", "status": "beta"}


@pytest.fixture
def settings(make_settings):
    return make_settings(PROJECTS__PEAR__STATUSES='["beta"]', STATUSES__BETA__JIRA='["Beta"]')


async def test_a_foreign_page_moves_and_withdraws_nothing(settings, running, journal, cloud_move):
    async with running(settings) as http:
        here = f"127.0.0.1:{http.base_url.port}"
        for host, origin in (
            (here, "http://evil.example"),
            (here, "null"),
            ("evil.example:8001", "http://evil.example:8001"),
        ):
            headers = {"Host": host, "Origin": origin, "Content-Type": "text/plain"}
            for method, path, body in (
                ("POST", "/messages", FRONT),
                ("POST", "/webhooks/jira", cloud_move),
                ("DELETE", "/messages?issue=PEAR-3", {}),
            ):
                answer = await http.request(method, path, content=json.dumps(body), headers=headers)
                assert (answer.status_code, "[web] urls" in answer.json()["detail"]) == (403, True)
        assert (await http.post("/messages", json=FRONT, headers={"Origin": f"http://{here}"})).status_code == 201
        assert (await http.get("/ignored", headers={"Host": "evil.example:8001"})).status_code == 403
    assert len(await journal(settings)) == 1


async def test_jira_reaches_its_webhook_through_a_proxy_under_any_name_and_with_extra_slashes(
    settings, running, cloud_move
):
    async with running(settings) as http:
        for path in ("/webhooks/jira", "/webhooks/jira/", "//webhooks/jira", "/webhooks/jira/?user_id=jane"):
            url = f"http://127.0.0.1:{http.base_url.port}{path}"
            answer = await http.post(url, json=cloud_move, headers={"Host": "usher.example.com"})
            assert answer.status_code == 202


@pytest.mark.parametrize("path", ["/", "/jira", "/webhook/jira", "/webhooks", "/webhooks/Jira", "/rest/webhooks/jira"])
async def test_a_webhook_to_a_wrong_path_is_refused_with_the_right_one_and_logged_once(
    settings, running, cloud_move, caplog, path
):
    async with running(settings) as http:
        answer = await http.post(path, json=cloud_move)
    assert answer.status_code in (404, 405)
    assert "/webhooks/jira" in answer.json()["detail"]
    assert caplog.text.count("refused a request from 127.0.0.1: POST ") == 1


async def test_a_forwarded_address_signs_no_order(settings, running):
    async with running(settings) as http:
        answer = await http.delete("/messages", params={"issue": "PEAR-3"}, headers={"X-Forwarded-For": "203.0.113.9"})
    assert answer.json()["by"] == "127.0.0.1"


async def test_a_signature_that_is_not_checked_is_said_once(settings, running, cloud_move, caplog):
    async with running(settings) as http:
        assert (await http.post("/webhooks/jira", json=cloud_move)).status_code == 202
        assert "signatures" not in caplog.text
        for _ in range(3):
            signed = await http.post("/webhooks/jira", json=cloud_move, headers={"X-Hub-Signature": "sha256=00"})
            assert signed.status_code == 202
    (line,) = [record.getMessage() for record in caplog.records if "signatures" in record.getMessage()]
    assert line == "webhooks are signed, but their signatures are not checked: set [jira] secret to their secret"


@pytest.mark.parametrize(
    ("host", "secret", "says"),
    [("0.0.0.0", {}, True), ("0.0.0.0", {"JIRA__SECRET": "s"}, False), ("127.0.0.1", {}, False)],
)
async def test_it_says_at_the_start_if_everybody_can_send_moves(make_settings, caplog, host, secret, says):
    caplog.set_level(logging.WARNING)
    stop = asyncio.Event()
    stop.set()
    with listen(host, 0, "trackers") as listening:
        port = listening.getsockname()[1]
        await serve_on(listening, make_settings(**secret), stop)
    assert (f"everybody who can reach 0.0.0.0:{port} can trigger deploys: set [jira] secret" in caplog.text) is says
