"""Keeping the connections: what is logged, and when it reconnects. With a real broker behind a proxy."""

import asyncio
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from yarl import URL

from usher.broker import link as links
from usher.broker.link import Link, StartAgain, keep
from usher.core.errors import BrokerError
from usher.settings import Settings

if TYPE_CHECKING:
    from conftest import Proxy


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(links, "FIRST_PAUSE", 0.02)
    monkeypatch.setattr(links, "LONGEST_PAUSE", 0.05)


class Sessions:
    """A session that runs until its link is lost, and reports its start."""

    def __init__(self) -> None:
        self.started: asyncio.Queue[Link] = asyncio.Queue()

    async def __call__(self, link: Link) -> None:
        link.works()
        self.started.put_nowait(link)
        await link.lost.wait()


async def test_losing_and_finding_the_broker_is_logged_once_despite_many_attempts(
    make_settings: Callable[..., Settings], vhost_url: str, proxy: "Proxy", caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "usher")
    broker = make_settings(BROKER__URL=str(URL(vhost_url).with_host("127.0.0.1").with_port(proxy.port))).broker
    sessions, stop = Sessions(), asyncio.Event()
    keeping = asyncio.create_task(keep(broker, "test", sessions, stop))
    await sessions.started.get()
    proxy.cut()
    while proxy.refused < 5:
        await asyncio.sleep(0.01)
    proxy.restore()
    link = await sessions.started.get()
    stop.set()
    link.lost.set()
    await keeping
    lines = [record.getMessage() for record in caplog.records if record.name == "usher.broker.link"]
    assert [line.partition(" at ")[0] for line in lines if "connected" in line] == ["connected to the broker"] * 2
    between = [line for line in lines if "connected to" not in line]
    assert len(between) == len(set(between)) <= 2  # the loss, and that nothing answers
    assert all("connecting again until it works" in line for line in between)


async def test_a_session_that_the_broker_keeps_refusing_is_logged_once_and_never_called_connected(
    make_settings: Callable[..., Settings], vhost_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "usher")
    stop, sessions = asyncio.Event(), 0

    async def session(link: Link) -> None:
        nonlocal sessions
        sessions += 1
        if sessions in {1, 5}:
            link.works()
            await link.publishing.close()
            await link.hold(asyncio.Event().wait())
        if sessions == 6:
            stop.set()
        raise BrokerError(why="the broker refused Usher's queues")

    await keep(make_settings(BROKER__URL=vhost_url).broker, "test", session, stop)
    lines = [record.getMessage() for record in caplog.records if record.name == "usher.broker.link"]
    connected, lost, refused = "connected to the broker", "the connection to the broker is lost", "the broker refused"
    assert [next(kind for kind in (connected, lost, refused) if line.startswith(kind)) for line in lines] == [
        connected, lost, refused, connected, lost
    ]  # fmt: skip


async def test_a_session_that_has_said_why_it_ends_is_not_logged_as_a_lost_connection(
    make_settings: Callable[..., Settings], vhost_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    stop, sessions = asyncio.Event(), 0

    async def session(link: Link) -> None:
        nonlocal sessions
        sessions += 1
        if sessions == 1:
            raise StartAgain
        stop.set()

    await keep(make_settings(BROKER__URL=vhost_url).broker, "test", session, stop)
    assert sessions == 2
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING] == []


async def test_an_error_at_the_first_connection_is_raised(make_settings: Callable[..., Settings]) -> None:
    broker = make_settings(BROKER__URL="amqp://guest@127.0.0.1:1/").broker
    with pytest.raises(BrokerError, match="no broker answers at guest@127.0.0.1:1/"):
        await keep(broker, "test", Sessions(), asyncio.Event())


async def test_the_brokers_are_tried_in_order(make_settings: Callable[..., Settings], vhost_url: str) -> None:
    broker = make_settings(BROKER__URL=f'["amqp://guest@127.0.0.1:1/", "{vhost_url}"]').broker
    sessions, stop = Sessions(), asyncio.Event()
    keeping = asyncio.create_task(keep(broker, "test", sessions, stop))
    link = await sessions.started.get()
    stop.set()
    link.lost.set()
    await keeping
