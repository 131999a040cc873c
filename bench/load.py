"""Load: wrk for as much as a server can take, and a steady sender for how long each answer takes."""

import asyncio
import hashlib
import hmac
import itertools
import statistics
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import body

SCRIPT = Path(__file__).with_name("load.lua")
SECRET = "the secret of this benchmark"  # noqa: S105
CONNECTIONS = 32
THREADS = 2
MICROSECONDS = 1e6


@dataclass(frozen=True)
class Load:
    """What wrk found: answers per second, and how long they took (ms)."""

    rate: float
    p50: float
    p99: float


class Webhooks:
    """Signed webhooks for twenty servers. No two are about the same move."""

    def __init__(self) -> None:
        self._kinds = [body.pieces(project, status) for project in body.PROJECTS for status in body.STATUSES]

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


def steady(port: int, path: str, per_second: float, seconds: float) -> Load:
    """Send at a steady rate, and measure each answer from when its request was due."""
    return asyncio.run(_steady(port, path, per_second, seconds))


async def _steady(port: int, path: str, per_second: float, seconds: float) -> Load:
    webhooks, numbers = Webhooks(), itertools.count(10_000_000)
    free: asyncio.LifoQueue[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = asyncio.LifoQueue()
    for _ in range(CONNECTIONS):
        free.put_nowait(await asyncio.open_connection("127.0.0.1", port))
    times: list[float] = []

    async def send(due: float) -> None:
        text, signature = webhooks[next(numbers)]
        reader, writer = await free.get()
        head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        head += f"X-Hub-Signature: {signature}\r\nContent-Length: {len(text)}\r\n\r\n"
        writer.write(head.encode() + text)
        answer = await reader.readuntil(b"\r\n\r\n")
        if not answer.startswith(b"HTTP/1.1 2"):
            raise RuntimeError(f"refused: {answer.decode()}")
        length = next(line for line in answer.lower().split(b"\r\n") if line.startswith(b"content-length"))
        await reader.readexactly(int(length.partition(b":")[2]))
        times.append((time.perf_counter() - due) * 1000)
        free.put_nowait((reader, writer))

    began = time.perf_counter()
    async with asyncio.TaskGroup() as sending:
        for number in range(round(per_second * seconds)):
            due = began + number / per_second
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            sending.create_task(send(due))
    cuts = statistics.quantiles(times, n=100)
    return Load(len(times) / (time.perf_counter() - began), cuts[49], cuts[98])
