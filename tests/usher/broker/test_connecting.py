"""Opening: what is wrong is said in words. Closing: what takes too long costs no connection. Without a broker."""

import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable

import pytest
from aiormq.connection import FrameReceiver
from pydantic import SecretStr

from usher.broker.connecting import channel_closed, closed, open_connection
from usher.core.errors import BrokerError

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def refused(address: str) -> str:
    """The reason why there is no connection to that address."""
    with pytest.raises(BrokerError) as raised:
        await open_connection(SecretStr(address), heartbeat=10, name="test")
    found = str(raised.value)
    assert found.endswith("; start it, or correct [broker] url")
    return found.partition("/ (")[2].partition("); start it")[0]


def unused() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return taken.getsockname()[1]


async def http(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(8)
    writer.write(b"HTTP/1.0 400 Bad request\r\n\r\n")
    writer.close()


async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()
    writer.close()


async def closing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.close()


@pytest.mark.parametrize(
    ("scheme", "serve", "reason"),
    [
        ("amqp", http, "what answers there is not an AMQP broker"),
        ("amqp", closing, "it closed the connection; has it started?"),
        ("amqp", silent, "no answer within 1 s"),
        ("amqps", http, "it does not speak TLS, which amqps:// needs"),
    ],
)
async def test_what_is_not_a_broker_is_described_in_words(
    scheme: str, serve: Serve, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("usher.broker.connecting.CONNECT_SECONDS", 1.0)
    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        assert await refused(f"{scheme}://guest:guest@127.0.0.1:{port}/") == reason


async def test_a_connection_that_is_closed_while_the_client_looks_away_is_described_in_words(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def ends(_: FrameReceiver) -> None:  # as the client does if the end has already arrived
        raise StopAsyncIteration

    monkeypatch.setattr(FrameReceiver, "get_frame", ends)
    async with await asyncio.start_server(silent, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        assert await refused(f"amqp://guest:guest@127.0.0.1:{port}/") == "it closed the connection; has it started?"


async def test_an_address_where_nothing_listens_is_described_in_words() -> None:
    port = unused()
    assert await refused(f"amqp://guest:guest@127.0.0.1:{port}/") == "connection refused"
    assert await refused(f"amqp://guest:guest@[::1]:{port}/") == "connection refused"
    assert "not known" in await refused("amqp://guest:guest@no-such-host.invalid/")


def test_the_command_prints_no_exception_of_the_client(usher, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("USHER_BROKER__URL", f"amqp://guest:guest@127.0.0.1:{unused()}/")
    # as in the command's own process: no handler, so that Python's last resort would print
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    result = usher("doctor")
    assert "(connection refused)\n         → start it, or correct [broker] url\n" in result.out
    assert (result.err, "Errno" in result.out, "Error" in result.out) == ("", False, False)


async def test_a_channel_that_closes_slowly_is_not_asked_a_second_time() -> None:
    answered, cancelled = asyncio.Event(), []

    async def close() -> None:
        try:
            await answered.wait()
        except asyncio.CancelledError:
            cancelled.append("again")
            raise

    await channel_closed(close(), 0.01)
    answered.set()
    await asyncio.sleep(0)
    assert cancelled == []


async def test_closing_a_lost_channel_or_connection_raises_nothing() -> None:
    async def close() -> None:
        raise ConnectionError("lost")

    await channel_closed(close(), 1)
    await closed(close(), 1)


async def test_a_connection_that_does_not_close_in_time_is_given_up() -> None:
    given_up = asyncio.Event()

    async def close() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            given_up.set()

    await closed(close(), 0.01)
    assert given_up.is_set()
