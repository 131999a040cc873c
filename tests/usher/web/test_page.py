"""The page at `/`: what this is, whether it is ready, and where to look."""

import base64
import hashlib
import re

import pytest

from wire import code, request


async def page(wire):
    answer = await wire.ask(request("GET /"))
    assert code(answer) == 200
    head, _, body = answer.partition("\r\n\r\n")
    return head, body


async def test_it_names_the_service_and_leads_to_health_readiness_and_documentation(wire):
    head, body = await page(wire)
    assert "content-type: text/html; charset=utf-8" in head
    assert "<h1>Usher: trackers</h1>" in body
    for path in ("/health", "/ready", "/docs"):
        assert f'<a href="{path}">' in body
        assert code(await wire.ask(request(f"GET {path}"))) == 200
    assert "usher send ABC-1 beta" in body


async def test_it_says_why_the_service_is_not_ready(make_app, serving):
    async with serving(make_app("no <connection> to the broker")) as wire:
        assert "Not ready: no &lt;connection&gt; to the broker" in (await page(wire))[1]
    async with serving(make_app()) as wire:
        assert ">Ready<" in (await page(wire))[1]


async def test_it_loads_nothing_and_may_do_nothing(wire):
    head, body = await page(wire)
    policy = re.search("content-security-policy: (.*)", head)[1]
    assert policy.startswith("default-src 'none'; ")
    assert "unsafe" not in policy
    assert "://" not in body
    assert not re.search(r"<script|\son\w+=|\sstyle=|url\(", body)
    style = re.search("<style>(.*)</style>", body, re.DOTALL)[1]
    assert f"'sha256-{base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()}'" in policy


@pytest.mark.parametrize("text", ["report a &lt;move&gt;"])
async def test_its_text_is_escaped(wire, text):
    assert text in (await page(wire))[1]
