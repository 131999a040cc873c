"""What the ledger and the broker's console report while Usher works."""

import asyncio
import sqlite3
import time
from collections.abc import Callable, Iterable
from contextlib import closing
from pathlib import Path
from typing import Any

import aiormq
import httpx

from usher.broker.topology import server_queue
from usher.core.states import SETTLED
from usher.local.choose import Broker

EVERY = 0.2
REPORT_SECONDS = 10.0
STUCK_SECONDS = 300.0


def query(folder: Path, sql: str, *parameters: object) -> list[Any]:
    """The first column of the rows that a query of the ledger finds."""
    with closing(sqlite3.connect(f"file:{folder}/usher.db?mode=ro", uri=True)) as ledger:
        return [row[0] for row in ledger.execute(sql, parameters)]


def received(folder: Path) -> int:
    """The number of messages in the ledger."""
    return int(query(folder, "SELECT count(*) FROM messages")[0])


def settled(folder: Path) -> int:
    """The number of messages that are settled in the ledger."""
    states = ", ".join(f"'{state}'" for state in SETTLED)
    return int(query(folder, f"SELECT count(*) FROM messages WHERE state IN ({states})")[0])  # noqa: S608 - constants


def until(count: Callable[[Path], int], folder: Path, expected: int, what: str, say: Callable[[str], None]) -> None:
    """Wait until that many messages are counted. Raises TimeoutError if no more are for five minutes."""
    known, since, said = -1, time.monotonic(), time.monotonic()
    while (now := count(folder)) < expected:
        if now != known:
            known, since = now, time.monotonic()
        if time.monotonic() > since + STUCK_SECONDS:
            raise TimeoutError(f"only {now:,} of {expected:,} messages are {what}")
        if time.monotonic() > said + REPORT_SECONDS:
            said = time.monotonic()
            say(f"{now:,} of {expected:,} messages are {what}")
        time.sleep(EVERY)


def totals(broker: Broker) -> dict[str, int]:
    """How many connections, channels, queues, consumers and exchanges the broker has."""
    found: dict[str, int] = _console(broker, "/api/overview")["object_totals"]
    return found


async def consumed(broker: Broker, servers: Iterable[str]) -> None:
    """Wait until somebody consumes the queue of each server. The queues must exist."""
    connection = await aiormq.connect(broker.url)
    try:
        channel = await connection.channel()
        remaining = [server_queue(server) for server in servers]
        while remaining:
            # the console would know it only seconds later
            if (await channel.queue_declare(remaining[0], passive=True)).consumer_count:
                remaining.pop(0)
            else:
                await asyncio.sleep(EVERY / 10)
    finally:
        await connection.close()


def _console(broker: Broker, path: str) -> Any:
    return httpx.get(f"{broker.console}{path}", auth=broker.credentials, timeout=60).raise_for_status().json()
