"""The HTTP interface of trackers against what other pages, wrong addresses and old proxies send it."""

import asyncio
import logging

import pytest

from trackers.service import serve_on
from usher.runtime.listening import listen


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
