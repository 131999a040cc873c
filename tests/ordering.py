"""Helpers for tests of orders: a running successes with an HTTP client, and parked messages."""

import asyncio
import secrets
from collections.abc import Callable
from contextlib import asynccontextmanager

import httpx

from successes.web.app import make_app
from usher.core.events import Outcome

BETA = "beta.abc.wwts.com"


def api(world, address: str = "10.1.2.3") -> httpx.AsyncClient:
    """A client of the API of the world's service, which connects from that address."""
    app = make_app(world.settings, world.ledger, lambda: world.service.board, world.orders.desk, world.service.unready)
    transport = httpx.ASGITransport(app, client=(address, 1))
    return httpx.AsyncClient(transport=transport, base_url="http://successes", timeout=30)


async def until(true: Callable[[], bool]) -> None:
    """Poll until this is true."""
    async with asyncio.timeout(20):
        while not true():
            await asyncio.sleep(0.02)


class Asked:
    """Gives orders over HTTP, and reads the results."""

    def __init__(self, world, client: httpx.AsyncClient) -> None:
        self.world = world
        self._client = client

    async def answer(self, what: str, **order: object) -> httpx.Response:
        return await self._client.post(f"/api/orders/{what}", json=order)

    async def order(self, what: str, **order: object) -> dict[str, object]:
        """Give an order. It must have been carried out before the answer."""
        answer = await self.answer(what, **order)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def get(self, path: str) -> dict[str, object]:
        answer = await self._client.get(f"/api/{path}")
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def code(self, path: str) -> tuple[int, str]:
        answer = await self._client.get(f"/api/{path}")
        return answer.status_code, answer.json()["detail"]


@asynccontextmanager
async def asking(world):
    """Run the service until the block ends. It accepts orders."""
    async with world.running(), api(world) as client:
        await world.handled()
        await until(lambda: world.orders.desk._session is not None)
        yield Asked(world, client)


async def parked(world, *keys):
    """Park messages of one server. Returns them, and the deploy in which they failed."""
    messages = await world.published(*keys)
    ended = await world.ended(*messages, outcome=Outcome.FAILED)
    await world.handled()
    return messages, ended


async def facts(world, kind):
    """The events of that kind in the journal so far."""
    await world.journal.barrier()
    return [event for event in world.seen if isinstance(event, kind)]


def new_id() -> str:
    return secrets.token_hex(16)
