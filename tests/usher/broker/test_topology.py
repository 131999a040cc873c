"""Declaring everything: what the broker refuses is said, with advice that fits. With a real broker."""

from collections.abc import Callable

import httpx
import pytest
from yarl import URL

from usher.broker import topology
from usher.broker.link import connect
from usher.broker.port import ChannelClosed
from usher.core.errors import BrokerError
from usher.local.choose import Broker
from usher.settings import Settings

PERMISSIONS = "Its user needs the permissions to configure, write and read"


async def test_a_user_without_permissions_is_told_which_it_needs(
    make_settings: Callable[..., Settings], vhost_url: str, broker: Broker
) -> None:
    settings = make_settings()
    user, vhost = broker.credentials[0], URL(vhost_url).path.strip("/")
    async with httpx.AsyncClient(base_url=broker.console, auth=broker.credentials, timeout=30) as console:
        nothing = {"configure": "^$", "write": "^$", "read": "^$"}
        (await console.put(f"/api/permissions/{vhost}/{user}", json=nothing)).raise_for_status()
    async with connect(settings.broker, "test") as link:
        with pytest.raises(BrokerError, match=f"ACCESS_REFUSED.*{PERMISSIONS}"):
            await topology.declare(link, settings.catalogue)
        assert not link.working


async def test_a_queue_whose_node_is_down_is_not_blamed_on_permissions(
    make_settings: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = make_settings()

    async def is_down(*_: object) -> None:
        raise ChannelClosed(why="NOT_FOUND - home node 'rabbit@b' of durable queue 'usher.journal' is down")

    monkeypatch.setattr(topology, "_declare", is_down)
    async with connect(settings.broker, "test") as link:
        with pytest.raises(BrokerError, match="home node") as refused:
            await topology.declare(link, settings.catalogue)
    assert "permission" not in str(refused.value)
