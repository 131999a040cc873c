"""Requests that miss their route by a slash or a letter are answered, or refused with what would be right."""

import pytest

from wire import code, detail, request


@pytest.mark.parametrize("path", ["/things", "/things/", "//things", "/things//", "/things/?secret=tangerine"])
async def test_extra_slashes_make_no_difference(wire, path):
    answer = await wire.ask(request(f"POST {path}", body="12345"))
    assert code(answer) == 200
    assert '"bytes":5' in answer


@pytest.mark.parametrize("path", ["/", "/health", "/health/", "/ready", "/docs", "/openapi.json", "/much", "/nowhere"])
async def test_head_gets_the_headers_of_get_and_no_body(wire, path):
    get, head = [await wire.ask(request(f"{method} {path}")) for method in ("GET", "HEAD")]
    assert code(head) == code(get)
    assert head.endswith("\r\n\r\n")
    length = next(line for line in get.splitlines() if line.startswith("content-length"))
    assert length in head.splitlines()


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("POST /thing", "POST /thing does not exist here; did you mean /things?"),
        ("POST /Things", "POST /Things does not exist here; did you mean /things?"),
        ("POST /things/jira", "POST /things/jira does not exist here; did you mean /things?"),
        ("POST /", "POST / does not exist here; POST is for /things"),
        ("PUT /things", "PUT /things does not exist here; use POST"),
        ("DELETE /nowhere", "DELETE /nowhere does not exist here; the page / says what is here"),
        ("POST /api/orders/retry", "POST /api/orders/retry does not exist here; successes answers it, on port 8003"),
        ("POST /%0d%0aforged", "POST /\r\nforged does not exist here; POST is for /things"),
    ],
)
async def test_a_change_that_misses_is_refused_with_the_right_path_and_logged_once(wire, caplog, line, says):
    answer = await wire.ask(request(line))
    assert code(answer) in (404, 405)
    assert detail(answer) == says
    assert "location" not in answer.lower()
    assert [r.getMessage() for r in caplog.records if r.levelname == "WARNING"] == [
        f"refused a request from 127.0.0.1: {says}"
    ]


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("GET /things", "GET /things does not exist here; use POST"),
        ("GET /helth", "GET /helth does not exist here; did you mean /health?"),
        ("GET /favicon.ico", "GET /favicon.ico does not exist here; the page / says what is here"),
        ("GET /" + "x" * 5000, f"GET /{'x' * 199} does not exist here; the page / says what is here"),
    ],
)
async def test_a_page_that_does_not_exist_is_not_worth_a_log_line(wire, caplog, line, says):
    answer = await wire.ask(request(line))
    assert detail(answer) == says
    assert not [r for r in caplog.records if r.levelname == "WARNING"]
