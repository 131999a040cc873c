"""Load: wrk for as much as a server can take, and a steady sender for how long each answer takes."""

import asyncio
import hashlib
import hmac
import statistics
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import body

SCRIPT = Path(__file__).with_name("load.lua")
SECRET = "the secret of this benchmark"  # noqa: S105
HOST = "127.0.0.1"
CONNECTIONS = 32
THREADS = 2
REPORT_EVERY = 10_000
"""How many accepted moves there are between two lines of progress."""

MICROSECONDS = 1e6


@dataclass(frozen=True)
class Load:
    """What wrk found: answers per second, and how long they took (ms)."""

    rate: float
    p50: float
    p99: float


class Webhooks:
    """Signed webhooks for these servers, in turn. No two are about the same move."""

    def __init__(self, servers: body.Servers = body.SERVERS) -> None:
        self._kinds = [body.pieces(project, status) for project, status in servers]

    def __getitem__(self, number: int) -> tuple[bytes, str]:
        """The body and the signature with that number."""
        text = str(number).join(self._kinds[number % len(self._kinds)]).encode()
        return text, "sha256=" + hmac.new(SECRET.encode(), text, hashlib.sha256).hexdigest()

    def write(self, path: Path, count: int) -> Path:
        """Write the first `count` for wrk's script."""
        with path.open("w") as file:
            file.write(f"{count} {len(self._kinds)} {THREADS}\n")
            for kind in self._kinds:
                file.writelines(f"{part}\n" for part in kind)
            file.writelines(f"{self[number][1]}\n" for number in range(1, count + 1))
        return path


def wrk(base: str, path: str, webhooks: Path, seconds: float) -> Load:
    """Send as many webhooks as the server takes. Raises RuntimeError if it refuses one."""
    command = ["wrk", f"-t{THREADS}", f"-c{CONNECTIONS}", f"-d{seconds:g}s", "--timeout", "30s"]
    ran = subprocess.run(
        [*command, "-s", str(SCRIPT), base, "--", str(webhooks), path], capture_output=True, text=True, check=True
    )
    line = next(line for line in ran.stdout.splitlines() if line.startswith("RESULT"))
    answers, took, refused, broken, p50, p99 = map(float, line.split()[1:])
    if refused or broken:
        raise RuntimeError(f"{base}{path} refused {refused:.0f} webhooks, and {broken:.0f} were not answered")
    return Load(answers / took * MICROSECONDS, p50 / 1000, p99 / 1000)


def steady(
    port: int, path: str, per_second: float, seconds: float, webhooks: Webhooks | None = None, first: int = 10_000_000
) -> Load:
    """Send at a steady rate, and measure each answer from when its request was due."""
    return asyncio.run(_steady(port, path, per_second, seconds, webhooks or Webhooks(), first))


async def _steady(port: int, path: str, per_second: float, seconds: float, webhooks: Webhooks, first: int) -> Load:
    connections = [await Connection.open(port, path) for _ in range(CONNECTIONS)]
    free: asyncio.LifoQueue[Connection] = asyncio.LifoQueue()
    for connection in connections:
        free.put_nowait(connection)
    times: list[float] = []

    async def send(number: int, due: float) -> None:
        connection = await free.get()
        await connection.send(*webhooks[number])
        times.append((time.perf_counter() - due) * 1000)
        free.put_nowait(connection)

    began = time.perf_counter()
    async with asyncio.TaskGroup() as sending:
        for number in range(round(per_second * seconds)):
            due = began + number / per_second
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            sending.create_task(send(first + number, due))
    for connection in connections:
        connection.close()
    cuts = statistics.quantiles(times, n=100)
    return Load(len(times) / (time.perf_counter() - began), cuts[49], cuts[98])


def burst(port: int, path: str, webhooks: Webhooks, numbers: range, say: Callable[[str], None]) -> float:
    """Send the webhooks with these numbers as fast as they are accepted. Returns how many were accepted per second."""
    return asyncio.run(_burst(port, path, webhooks, numbers, say))


async def _burst(port: int, path: str, webhooks: Webhooks, numbers: range, say: Callable[[str], None]) -> float:
    remaining = iter(numbers)

    async def send(connection: Connection) -> None:
        for number in remaining:
            await connection.send(*webhooks[number])
            sent = number - numbers.start + 1
            if sent % REPORT_EVERY == 0:
                say(f"{sent:,} of {len(numbers):,} moves accepted")

    connections = [await Connection.open(port, path) for _ in range(CONNECTIONS)]
    began = time.perf_counter()
    async with asyncio.TaskGroup() as sending:
        for connection in connections:
            sending.create_task(send(connection))
    seconds = time.perf_counter() - began
    for connection in connections:
        connection.close()
    return len(numbers) / seconds


class Connection:
    """A connection over which one webhook after the other is sent."""

    def __init__(self, port: int, path: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._port = port
        self._path = path
        self._reader = reader
        self._writer = writer

    @classmethod
    async def open(cls, port: int, path: str) -> "Connection":
        return cls(port, path, *await asyncio.open_connection(HOST, port))

    async def send(self, text: bytes, signature: str) -> None:
        """Send a webhook, and wait for the answer. Raises RuntimeError if it is refused."""
        try:
            await self._exchange(text, signature)
        except (asyncio.IncompleteReadError, ConnectionError):
            # a server closes a connection that was idle for some seconds
            self.close()
            self._reader, self._writer = await asyncio.open_connection(HOST, self._port)
            await self._exchange(text, signature)

    def close(self) -> None:
        self._writer.close()

    async def _exchange(self, text: bytes, signature: str) -> None:
        head = f"POST {self._path} HTTP/1.1\r\nHost: {HOST}\r\nContent-Type: application/json\r\n"
        head += f"X-Hub-Signature: {signature}\r\nContent-Length: {len(text)}\r\n\r\n"
        self._writer.write(head.encode() + text)
        answer = await self._reader.readuntil(b"\r\n\r\n")
        if not answer.startswith(b"HTTP/1.1 2"):
            raise RuntimeError(f"refused: {answer.decode()}")
        length = next(line for line in answer.lower().split(b"\r\n") if line.startswith(b"content-length"))
        await self._reader.readexactly(int(length.partition(b":")[2]))
