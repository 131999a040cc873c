"""The HTTP interface of trackers against what other pages, wrong addresses and old proxies send it."""

import asyncio
import logging

import pytest

from trackers.service import serve_on
from usher.runtime.listening import listen


@pytest.fixture
def settings(make_settings):
    return make_settings(PROJECTS__PEAR__STATUSES='["beta"]', STATUSES__BETA__JIRA='["Beta"]')


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
