"""A request that a proxy could read differently is refused, and its connection is closed."""

import asyncio
import re

import pytest

from wire import code, detail, request

HEAD = "POST /things HTTP/1.1\r\nHost: 127.0.0.1\r\n"
NEXT = request("GET /health")

REFUSED = {
    "two lengths": HEAD + "Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "two lengths, the other way round": HEAD + "transfer-encoding: Chunked\r\ncontent-length: 0\r\n\r\n0\r\n\r\n",
    "different lengths": HEAD + "Content-Length: 6\r\nContent-Length: 5\r\n\r\n123456",
    "a signed length": HEAD + "Content-Length: +6\r\n\r\n123456",
    "two encodings": HEAD + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "an unknown encoding": HEAD + "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "a list of encodings": HEAD + "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "only bare line feeds": "GET /health HTTP/1.1\nHost: 127.0.0.1\n\n",
    "one bare line feed": "GET /health HTTP/1.1\r\nHost: 127.0.0.1\nX: y\r\n\r\n",
    "a bare line feed at the end": "GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n\n",
    "an unfinished head with a bare line feed": "GET /health HTTP/1.1\nHost: 127.0.0.1\r\n",
    "a bare carriage return": "GET /health HTTP/1.1\r\nHost: 127.0.0.1\rX: y\r\n\r\n",
    "a bare line feed after a chunk's length": HEAD + "Transfer-Encoding: chunked\r\n\r\n1\nx\r\n0\r\n\r\n",
    "a bare line feed in a chunk's extension": HEAD + "Transfer-Encoding: chunked\r\n\r\n1;\nx\r\n0\r\n\r\n",
    "a bare line feed after the last chunk": HEAD + "Transfer-Encoding: chunked\r\n\r\n0\r\n\n",
    "a bare line feed in a trailer": HEAD + "Transfer-Encoding: chunked\r\n\r\n0\r\nX: y\n\r\n",
    "a space before the colon": "GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\nX : y\r\n\r\n",
    "two hosts": "GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\nHost: evil.example\r\n\r\n",
    "no host": "GET /health HTTP/1.1\r\n\r\n",
    "a URL that is too long": "GET /health?" + "y" * 66_000 + " HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
    "a head that is too long": "GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\nX: " + "y" * 90_000 + "\r\n\r\n",
    "something else than HTTP": "\x16\x03\x01\x02",
}


def codes_of(answers: str) -> list[int]:
    """The status codes of all answers on a connection."""
    return [code(line) for line in re.findall("HTTP/1.1 [0-9]+", answers)]


@pytest.mark.parametrize("ambiguous", [pytest.param(text, id=name) for name, text in REFUSED.items()])
async def test_an_ambiguous_request_is_refused_with_a_sentence_and_nothing_behind_it_is_answered(wire, ambiguous):
    answer = await wire.ask(ambiguous + NEXT)
    assert code(answer) == 400
    assert "connection: close" in answer.lower()
    assert detail(answer).startswith("this is not a valid HTTP/1.1 request: ")
    assert "started_at" not in answer


async def test_it_makes_no_difference_in_which_pieces_a_request_arrives(wire):
    chunked = HEAD + "Transfer-Encoding: chunked\r\n\r\n3;x=y\r\na\nb\r\n0\r\nX-Sum: 1\r\n\r\n" + NEXT
    for text, codes in ((chunked, [200, 200]), (REFUSED["one bare line feed"], [400])):
        reader, writer = await wire.open()
        for byte in text.encode():
            writer.write(bytes([byte]))
            await writer.drain()
            await asyncio.sleep(0)
        async with asyncio.timeout(20):
            answer = (await reader.read()).decode()
        assert codes_of(answer) == codes


async def test_a_head_of_80_kb_is_accepted_and_no_longer_one(wire):
    for length, expected in ((80_000, 200), (82_000, 400)):
        reader, writer = await wire.open()
        writer.write(request("GET /health", f"X: {'x' * length}").encode())
        async with asyncio.timeout(20):
            assert code((await reader.read()).decode()) == expected


async def test_an_empty_line_before_a_request_makes_no_difference(wire):
    for empty in ("\r\n", "\n"):
        assert code(await wire.ask(empty + NEXT)) == 200


async def test_a_trailer_or_a_chunk_extension_that_never_ends_is_refused(wire):
    for start in ("1;", "0\r\nX: "):
        answer = await wire.ask(f"{HEAD}Transfer-Encoding: chunked\r\n\r\n{start}{'x' * 500_000}")
        assert code(answer) == 400


async def test_requests_that_do_not_wait_for_answers_are_answered_in_order_up_to_a_limit(serving, make_app):
    app, begun, finish = make_app(), asyncio.Event(), asyncio.Event()

    @app.get("/slow")
    async def slow():
        begun.set()
        await finish.wait()

    health = "GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    async with serving(app) as wire:
        for behind, codes in ((9 * health + NEXT, [200] * 11), (100 * health, [200] * 11 + [400])):
            begun.clear()
            finish.clear()
            asking = asyncio.create_task(wire.ask(health.replace("health", "slow") + behind))
            await begun.wait()
            finish.set()
            assert codes_of(await asking) == codes


@pytest.mark.parametrize("broken", ["a space before the colon", "a bare line feed in a trailer"])
async def test_what_precedes_an_ambiguous_request_is_answered_first(serving, make_app, broken):
    app, begun, finish = make_app(), asyncio.Event(), asyncio.Event()

    @app.get("/slow")
    async def slow():
        begun.set()
        await finish.wait()

    slowly = "GET /slow HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    async with serving(app) as wire:
        asking = asyncio.create_task(wire.ask(slowly + REFUSED[broken] + NEXT))
        await begun.wait()
        finish.set()
        assert codes_of(await asking) == [200, 400]


async def test_a_request_to_switch_to_another_protocol_is_answered_and_nothing_behind_it(wire):
    upgrade = "GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"
    assert codes_of(await wire.ask(upgrade + NEXT)) == [200]


async def test_a_line_feed_in_a_body_is_part_of_the_body(wire):
    body = "a\nb\r\n\r\nc\n"
    plain = HEAD + f"Content-Length: {len(body)}\r\n\r\n" + body
    chunked = HEAD + f"Transfer-Encoding: chunked\r\n\r\n{len(body):x};x=y\r\n{body}\r\n0\r\nX-Sum: 1\r\n\r\n"
    for first in (plain, chunked):
        answer = await wire.ask(first + NEXT)
        assert answer.count("HTTP/1.1 200 OK") == 2
        assert f'"bytes":{len(body)}' in answer
