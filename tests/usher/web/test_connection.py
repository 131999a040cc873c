"""Slow, silent and many clients: each gets a deadline, all together a limit, and health always answers."""

import asyncio
import socket
from contextlib import suppress

import pytest

from usher.web import app, bodies, connection, server
from wire import close, detail, request

HEAD = "POST /things HTTP/1.1\r\nHost: 127.0.0.1\r\n"
HEALTH = request("GET /health")


@pytest.fixture
def short(monkeypatch):
    """Deadlines that are short enough for tests."""
    for name in ("HEAD_SECONDS", "BODY_SECONDS", "READ_SECONDS", "LINGER_SECONDS"):
        monkeypatch.setattr(connection, name, 0.3)


async def drip(writer, text="x"):
    """Send a byte now and then, until the server closes the connection."""
    with suppress(ConnectionError):
        while True:
            writer.write(text.encode())
            await writer.drain()
            await asyncio.sleep(0.02)


async def until_closed(reader, writer, dripping=""):
    """Everything that the server sends until it closes the connection."""
    sending = asyncio.create_task(drip(writer, dripping)) if dripping else None
    async with asyncio.timeout(15):
        try:
            answer = await reader.read()
        except ConnectionResetError:
            answer = b""
    if sending:
        sending.cancel()
    return answer.decode()


class TestDeadlines:
    async def test_a_connection_without_a_request_is_closed(self, short, wire):
        assert await until_closed(*await wire.open()) == ""

    @pytest.mark.parametrize(
        ("start", "dripping"),
        [
            ("GET /health HTTP/1.1\r\nX: ", "y"),
            (HEALTH.replace("close", "keep-alive") + "GET /health HTTP/1.1\r\nX: ", "y"),
            (HEAD + "Content-Length: 1000\r\n\r\n", "x"),
            (HEAD + "Transfer-Encoding: chunked\r\n\r\n", "1\r\nx\r\n"),
            (HEAD + "Transfer-Encoding: chunked\r\n\r\n0\r\nX: ", "y"),
        ],
    )
    async def test_a_request_that_arrives_too_slowly_is_answered_with_408(self, short, wire, start, dripping):
        reader, writer = await wire.open()
        writer.write(start.encode())
        answer = await until_closed(reader, writer, dripping)
        assert "HTTP/1.1 408 Request Timeout\r\n" in answer
        assert detail(answer).endswith("send the request again")

    async def test_a_slow_body_of_a_request_that_is_answered_already_ends_too(self, short, wire):
        reader, writer = await wire.open()
        writer.write(b"POST /nowhere HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1000\r\n\r\n")
        answer = await until_closed(reader, writer, "x")
        assert answer.startswith("HTTP/1.1 404")
        assert "408" not in answer

    async def test_a_client_that_does_not_read_its_answer_is_disconnected(self, short, wire, make_app):
        client = socket.socket()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(client, (wire.host, wire.port))
        await loop.sock_sendall(client, b"GET /much HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        received = 0
        async with asyncio.timeout(15):
            await asyncio.sleep(1)
            with suppress(ConnectionResetError):
                while data := await loop.sock_recv(client, 65536):
                    received += len(data)
        client.close()
        assert received < 20_000_000

    async def test_a_kept_connection_answers_one_request_after_the_other(self, wire):
        reader, writer = await wire.open()
        for _ in range(3):
            writer.write(HEALTH.replace("close", "keep-alive").encode())
            assert b" 200 " in await reader.readline()
            await reader.readuntil(b'Z"}')


class TestRoom:
    @pytest.fixture
    def few(self, monkeypatch):
        monkeypatch.setattr(server, "MOST_CONNECTIONS", 5)

    async def test_silent_connections_give_way_to_those_that_ask(self, few, wire, caplog):
        silent = [await wire.open() for _ in range(20)]
        for _ in range(10):
            assert " 200 OK" in await wire.ask(HEALTH)
        for reader, writer in silent[:15]:
            assert await until_closed(reader, writer) == ""
        assert "all 5 connections are in use; closing those that send no complete request" in caplog.text

    async def test_unfinished_requests_and_kept_connections_give_way_too(self, few, wire):
        kept = HEALTH.replace("close", "keep-alive")
        for start in (kept, "GET /health HTTP", f"{HEAD}Content-Length: 4\r\n\r\n12", f"{kept}{HEAD}", kept):
            reader, writer = await wire.open()
            writer.write(start.encode())
            if start.startswith(kept):
                assert b" 200 " in await reader.readline()
        for _ in range(10):
            assert " 200 OK" in await wire.ask(HEALTH)

    async def test_a_request_that_is_being_answered_is_never_closed_for_another(self, few, serving, make_app):
        app, begun, finish = make_app(), asyncio.Semaphore(0), asyncio.Event()

        @app.get("/slow")
        async def slow():
            begun.release()
            await finish.wait()

        async with serving(app) as wire:
            busy = [asyncio.create_task(wire.ask(request("GET /slow"))) for _ in range(5)]
            for _ in busy:
                await begun.acquire()
            asking = asyncio.create_task(wire.ask(HEALTH))
            answered, _ = await asyncio.wait((asking,), timeout=0.5)
            assert not answered
            finish.set()
            assert all(" 200 OK" in answer for answer in await asyncio.gather(*busy, asking))

    async def test_a_burst_of_more_clients_than_connections_is_answered_completely(self, few, wire):
        answers = await asyncio.gather(*(wire.ask(HEALTH) for _ in range(100)))
        assert sum(" 200 OK" in answer for answer in answers) == 100

    async def test_half_of_the_descriptors_are_free_for_other_work(self, monkeypatch):
        for descriptors, most in ((1024, 512), (100_000, 1000), (-1, 1000)):
            monkeypatch.setattr(server.resource, "getrlimit", lambda _, soft=descriptors: (soft, soft))
            assert server._most_connections() == most

    async def test_when_the_system_refuses_a_connection_the_server_says_so_and_goes_on(
        self, serving, make_app, monkeypatch, caplog
    ):
        monkeypatch.setattr(server, "PAUSE", 0.01)
        loop = asyncio.get_running_loop()
        accept, refusals = loop.sock_accept, iter(range(3))

        async def refusing(listening):
            if next(refusals, None) is not None:
                raise OSError(24, "Too many open files")
            return await accept(listening)

        monkeypatch.setattr(loop, "sock_accept", refusing)
        async with serving(make_app()) as wire:
            assert " 200 OK" in await wire.ask(HEALTH)
        assert caplog.text.count("cannot accept a connection: Too many open files") == 3


class TestMemory:
    @pytest.fixture
    async def little(self, monkeypatch, make_app, serving):
        """A server whose unfinished bodies may hold 16 KiB together."""
        monkeypatch.setattr(bodies, "UNCOUNTED", 1000)
        monkeypatch.setattr(app, "MEMORY", 0)
        async with serving(make_app(TRACKERS__BODY_LIMIT="8KiB")) as wire:
            yield wire

    async def half(self, wire):
        """A connection with half of a body."""
        reader, writer = await wire.open()
        writer.write(f"{HEAD}Content-Length: 14000\r\n\r\n".encode() + b"x" * 10_000)
        return reader, writer

    async def test_large_bodies_are_refused_while_unfinished_ones_hold_the_memory(self, little):
        first, second = await self.half(little), await self.half(little)
        answers = [asyncio.create_task(reader.read()) for reader, _ in (first, second)]
        (refused,), (waiting,) = await asyncio.wait(answers, timeout=15, return_when=asyncio.FIRST_COMPLETED)
        assert refused.result().startswith(b"HTTP/1.1 503")
        assert b"retry-after: 10" in refused.result()
        small = await little.ask(request("POST /things", body="x" * 900))
        assert '"bytes":900' in small
        (first if waiting is answers[0] else second)[1].write(b"x" * 4000)
        async with asyncio.timeout(15):
            assert b'"bytes":14000' in await waiting

    async def test_the_memory_of_a_request_that_has_ended_is_free_again(self, little):
        for _ in range(10):
            reader, writer = await self.half(little)
            writer.write(b"x" * 4000)
            assert b" 200 " in await reader.readline()
            await close(writer)

    async def test_the_memory_of_a_client_that_has_gone_is_free_again(self, little):
        for _ in range(10):
            await close((await self.half(little))[1])
        async with asyncio.timeout(15):
            while "503" in await little.ask(request("POST /things", body="x" * 14_000)):
                await asyncio.sleep(0.02)
