"""Requests that a browser sends for another site's page, and names that are not Usher's, are refused."""

import json
import socket

import pytest

from wire import code, detail, request

BODY = '{"issue_id": "ABC-1"}'


def post(host: str, *headers: str) -> str:
    """What a browser can send for any page without asking first."""
    return request("POST /things", "Content-Type: text/plain", *headers, host=host, body=BODY)


def get(path: str, host: str) -> str:
    return request(f"GET {path}", host=host)


@pytest.mark.parametrize(
    ("host", "headers"),
    [
        ("127.0.0.1:8001", ()),
        ("127.0.0.1:8001", ("Origin: http://127.0.0.1:8001",)),
        ("127.0.0.1:8001", ("Origin: http://127.0.0.1:8001", "Sec-Fetch-Site: same-origin")),
        ("10.0.0.5:8001", ("Origin: http://10.0.0.5:8001",)),
        ("[::1]:8001", ("Origin: http://[::1]:8001",)),
        ("localhost", ("Origin: http://localhost",)),
        ("usher.localhost:8001", ()),
        ("trackers-1:8001", ()),
        ("build01:8001", ("Origin: http://build01:8001",)),
    ],
)
async def test_usher_s_own_addresses_and_names_are_accepted(wire, host, headers):
    assert code(await wire.ask(post(host, *headers))) == 200


@pytest.mark.parametrize(
    "headers",
    [
        ("Origin: http://evil.example",),
        ("Origin: null",),
        ("Origin: http://127.0.0.1:9999",),
        ("Origin: http://127.0.0.1",),
        ("Origin: http://127.0.0.1:8001.evil.example",),
        ("Origin: ",),
        ("Origin: http://127.0.0.1:8001", "Origin: http://evil.example"),
        ("Sec-Fetch-Site: cross-site",),
        ("Sec-Fetch-Site: same-site",),
        ("Origin: http://127.0.0.1:8001", "Sec-Fetch-Site: cross-site"),
    ],
)
async def test_a_change_for_another_site_s_page_is_refused(wire, headers):
    answer = await wire.ask(post("127.0.0.1:8001", *headers))
    assert code(answer) == 403
    assert "another site's page" in detail(answer)
    assert "[web] urls" in detail(answer)


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "PROPFIND"])
async def test_every_method_that_may_change_something_is_checked(wire, method):
    assert code(await wire.ask(request(f"{method} /things", "Origin: http://evil.example"))) == 403


@pytest.mark.parametrize("host", ["evil.example:8001", "127.0.0.1.evil.example", "127.0.0.1@evil.example", "ev/il"])
async def test_a_name_that_was_pointed_at_usher_s_address_neither_reads_nor_changes_anything(wire, host):
    for path in ("/", "/docs", "/openapi.json", "/much", "//docs/"):
        answer = await wire.ask(get(path, host))
        assert code(answer) == 403
        assert "[web] urls" in detail(answer)
    assert code(await wire.ask(post(host))) == 403
    assert code(await wire.ask(post(host, f"Origin: http://{host}"))) == 403


async def test_proxies_and_load_balancers_may_ask_for_health_and_webhooks_under_any_name(wire):
    for path in ("/health", "/ready", "/health/"):
        assert code(await wire.ask(get(path, "usher.example.com"))) == 200
    # the app of this test has no webhooks: 404 comes from behind the guard
    assert code(await wire.ask(get("/webhooks/jira", "usher.example.com"))) == 404


async def test_a_foreign_page_cannot_send_a_webhook_under_any_name(wire):
    for host, origin in (
        ("127.0.0.1:8001", "http://evil.example"),
        ("usher.example.com", "https://evil.example"),
        ("evil.example", "http://evil.example"),
    ):
        assert code(await wire.ask(request("POST /webhooks/jira", f"Origin: {origin}", host=host))) == 403


async def test_the_urls_in_the_settings_are_accepted_as_host_and_as_origin(make_app, serving):
    urls = json.dumps(["https://Usher.example.com:443/", "http://deploy.example.com:8080"])
    async with serving(make_app(WEB__URLS=urls)) as wire:
        assert code(await wire.ask(get("/docs", "usher.example.com"))) == 200
        assert code(await wire.ask(get("/docs", "deploy.example.com:8080"))) == 200
        assert code(await wire.ask(get("/docs", "evil.example"))) == 403
        # a proxy that sends its own name for Usher, and one that keeps the browser's
        assert code(await wire.ask(post("127.0.0.1:8001", "Origin: https://usher.example.com"))) == 200
        assert code(await wire.ask(post("usher.example.com", "Origin: https://usher.example.com"))) == 200
        assert code(await wire.ask(post("usher.example.com", "Origin: http://evil.example"))) == 403


async def test_a_program_of_http_1_0_needs_no_host(wire):
    assert code(await wire.ask("GET /docs HTTP/1.0\r\n\r\n")) == 200


async def test_no_answer_may_be_shown_in_a_frame(wire):
    for path in ("/", "/docs", "/health"):
        answer = (await wire.ask(get(path, "127.0.0.1"))).lower()
        assert "x-frame-options: deny" in answer
        assert "x-content-type-options: nosniff" in answer


@pytest.mark.parametrize(
    ("proxies", "header", "by"),
    [
        ("[]", "203.0.113.9", "127.0.0.1"),
        ('["10.0.0.7"]', "203.0.113.9", "127.0.0.1"),
        ('["127.0.0.1"]', "203.0.113.9", "203.0.113.9"),
        ('["127.0.0.0/8"]', "198.51.100.1, 203.0.113.9", "203.0.113.9"),
        ('["127.0.0.1"]', "<script>", "nobody"),
    ],
)
async def test_forwarded_headers_are_believed_only_from_named_proxies(make_app, serving, proxies, header, by):
    async with serving(make_app(WEB__PROXIES=proxies)) as wire:
        answer = await wire.ask(post("127.0.0.1", f"X-Forwarded-For: {header}"))
    assert f'"from":"{by}"' in answer


async def test_an_ipv4_client_of_an_ipv6_socket_has_its_ipv4_address(make_app, serving):
    for proxies, by in (("[]", "127.0.0.1"), ('["127.0.0.1"]', "203.0.113.9")):
        both = socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True)
        async with serving(make_app(WEB__PROXIES=proxies), both) as wire:
            answer = await wire.ask(post("127.0.0.1", "X-Forwarded-For: 203.0.113.9"))
        assert f'"from":"{by}"' in answer


async def test_a_forwarded_host_is_never_believed(make_app, serving):
    async with serving(make_app(WEB__PROXIES='["127.0.0.1"]')) as wire:
        answer = await wire.ask(post("evil.example", "X-Forwarded-Host: 127.0.0.1", "Forwarded: host=127.0.0.1"))
    assert code(answer) == 403


async def test_the_name_that_a_service_listens_on_is_its_own(make_app, serving):
    async with serving(make_app(TRACKERS__HOST="Usher.corp.example")) as wire:
        assert code(await wire.ask(get("/docs", "usher.corp.example:8001"))) == 200
        assert code(await wire.ask(get("/docs", "other.corp.example:8001"))) == 403
