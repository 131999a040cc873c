"""What tests of orders share: a running successes that is asked over HTTP, and messages that are parked."""

import asyncio
import secrets
from collections.abc import Callable
from contextlib import asynccontextmanager

import httpx

from successes.web.app import make_app
from usher.core.events import Outcome

BETA = "beta.abc.wwts.com"


def api(world, address: str = "10.1.2.3") -> httpx.AsyncClient:
    """The API of the world's service, asked from that address."""
    app = make_app(world.settings, world.ledger, lambda: world.service.board, world.orders.desk, world.service.unready)
    transport = httpx.ASGITransport(app, client=(address, 1))
    return httpx.AsyncClient(transport=transport, base_url="http://successes", timeout=30)


async def until(true: Callable[[], bool]) -> None:
    """Wait for what the service comes to by itself."""
    async with asyncio.timeout(20):
        while not true():
            await asyncio.sleep(0.02)


class Asked:
    """Gives orders over HTTP, and looks at what came of them."""

    def __init__(self, world, client: httpx.AsyncClient) -> None:
        self.world = world
        self._client = client

    async def answer(self, what: str, **order: object) -> httpx.Response:
        return await self._client.post(f"/api/orders/{what}", json=order)

    async def order(self, what: str, **order: object) -> dict[str, object]:
        """An order that is carried out before its answer."""
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
    """The service runs, and takes orders."""
    async with world.running(), api(world) as client:
        await world.handled()
        await until(lambda: world.orders.desk._session is not None)
        yield Asked(world, client)


async def parked(world, *keys):
    """Messages of one server that are given up, and the deploy in which they failed."""
    told = await world.told(*keys)
    ended = await world.ended(*told, outcome=Outcome.FAILED)
    await world.handled()
    return told, ended


def facts(world, kind):
    """What the journal has of that kind so far."""
    return [event for event in world.seen if isinstance(event, kind)]


def new_id() -> str:
    return secrets.token_hex(16)
