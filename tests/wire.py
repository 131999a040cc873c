"""A client of an HTTP server that sends bytes as they are."""

import asyncio
import json
from contextlib import suppress
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Wire:
    """The address of a running server, and the connections to it."""

    host: str
    port: int
    opened: list[asyncio.StreamWriter] = field(default_factory=list)

    async def open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection(self.host, self.port)
        self.opened.append(writer)
        return reader, writer

    async def close(self) -> None:
        """Close all connections."""
        for writer in self.opened:
            await close(writer)

    async def ask(self, text: str) -> str:
        """Send this text. Returns everything that comes back until the server closes the connection."""
        reader, writer = await self.open()
        writer.write(text.encode())
        async with asyncio.timeout(20):
            return (await reader.read()).decode()


async def close(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with suppress(ConnectionError):
        await writer.wait_closed()


def request(line: str, *headers: str, host: str = "127.0.0.1", body: str = "") -> str:
    """A request like `POST /things`, on a connection that is closed after its answer."""
    length = (f"Content-Length: {len(body)}",) if body else ()
    return "\r\n".join((f"{line} HTTP/1.1", f"Host: {host}", "Connection: close", *length, *headers, "", body))


def code(answer: str) -> int:
    """The status code of an answer."""
    return int(answer.split()[1])


def detail(answer: str) -> str:
    """The sentence in an answer."""
    return str(json.loads(answer.rpartition("\r\n\r\n")[2])["detail"])
