"""The whole successes service: on its port, from the first journal entry until it is stopped."""

import asyncio
from collections.abc import Awaitable, Callable

import httpx
import pytest
from aiormq.exceptions import ChannelNotFoundEntity

from successes.ledger.ledger import Ledger, LedgerFault
from successes.service import serve
from usher.broker import topology
from usher.core.errors import BrokerError, ServiceError
from usher.runtime.listening import free_ports


@pytest.fixture
def free_port() -> str:
    (port,) = free_ports(0)
    return str(port)


async def until(true: Callable[[], Awaitable[bool]]) -> None:
    """Poll until this is true."""
    async with asyncio.timeout(20):
        while not await true():
            await asyncio.sleep(0.02)


async def test_it_shows_waiting_and_deployed_issues_and_stops_when_asked(world, make_settings, free_port):
    published = await world.published("ABC-113", "ABC-111")
    taken = await world.taken(*published)
    await world.result(world.make.ended(*published, taken=taken))
    await world.published("ABC-112")
    stop = asyncio.Event()
    serving = asyncio.create_task(serve(make_settings(SUCCESSES__PORT=free_port), stop))
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{free_port}") as client:

        async def ready() -> bool:
            try:
                return (await client.get("/ready")).is_success
            except httpx.ConnectError:
                return False

        await until(ready)
        await world.handled()
        server = (await client.get("/api/servers/beta.abc.wwts.com")).json()
        messages = (await client.get("/api/messages?state=deployed")).json()
        log = await client.get(f"/api/deploys/{taken.deploy}/log")
        stop.set()
        async with asyncio.timeout(10):
            await serving

    assert (server["state"], server["waiting"]) == ("waiting", ["ABC-112"])
    assert (server["last"]["deploy"], server["last"]["outcome"]) == (taken.deploy, "passed")
    assert sorted(item["issue"] for item in messages["items"]) == ["ABC-111", "ABC-113"]
    assert log.text == "what it printed\n"


async def test_a_ledger_that_cannot_be_written_is_not_logged_as_a_lost_broker(world, monkeypatch, caplog):
    write, faults = Ledger.write, 0

    async def full(self, news):
        nonlocal faults
        faults += 1
        if faults == 1:
            raise LedgerFault(path="usher.db", done="written", why="disk is full", check="it has room")
        await write(self, news)

    monkeypatch.setattr(Ledger, "write", full)
    monkeypatch.setattr("successes.service.PAUSE", 0.01)
    async with world.running():
        await world.published("ABC-111")
        await world.handled()
    assert "disk is full" in caplog.text
    assert "the connection to the broker is lost" not in caplog.text


async def consumers(world, queue) -> int | None:
    async with world.link.publishing.raw.channel() as channel:
        try:
            return (await channel.declare_queue(queue, passive=True)).declaration_result.consumer_count
        except ChannelNotFoundEntity:
            return None


async def test_it_resumes_after_the_reply_queue_was_deleted(world):
    async with world.running():
        await world.handled()
        async with world.link.publishing.raw.channel() as channel:
            await channel.queue_delete(topology.RESULTS)

        async def reads_again() -> bool:
            return await world.service.unready() is None and await consumers(world, topology.RESULTS) == 1

        await until(reads_again)
        [message] = await world.published("ABC-111")
        await world.ended(message)
        await world.handled()
    assert world.states() == {message.id: "deployed"}


async def test_an_unusable_ledger_and_a_missing_broker_are_reported_at_the_start(make_settings, tmp_path):
    (tmp_path / "folder").mkdir()
    with pytest.raises(ServiceError, match="cannot be opened"):
        await serve(make_settings(SUCCESSES__LEDGER=f"sqlite:///{tmp_path}/folder"), asyncio.Event())
    with pytest.raises(BrokerError, match="no broker answers"):
        await serve(make_settings(BROKER__URL="amqp://guest:guest@127.0.0.1:1/"), asyncio.Event())


@pytest.mark.parametrize(("host", "says"), [("0.0.0.0", True), ("127.0.0.1", False)])
async def test_it_says_at_the_start_if_everybody_can_give_orders(make_settings, caplog, host, says):
    stop = asyncio.Event()
    stop.set()
    await serve(make_settings(SUCCESSES__HOST=host), stop)
    assert ("can read and order everything: listen on 127.0.0.1, or put a proxy" in caplog.text) is says
