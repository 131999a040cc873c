"""The upgrade from 0.10, on a real broker: its processes can no longer write to the journal."""

from collections.abc import AsyncIterator, Callable

import pytest

from usher.broker import topology, upgrade
from usher.broker.link import Link, connect
from usher.broker.port import Channel, Envelope, Kind, Mismatch, Refused
from usher.broker.upgrade import FORMER_FACTS, shut_out_former
from usher.core.errors import BrokerError
from usher.settings import Settings


@pytest.fixture
async def link(make_settings: Callable[..., Settings]) -> AsyncIterator[Link]:
    async with connect(make_settings().broker, "test") as link:
        yield link


async def as_0_10_declares(channel: Channel) -> None:
    """Declare what every service of 0.10 declares when it connects."""
    await channel.declare_exchange(FORMER_FACTS, Kind.TOPIC)
    await channel.bind_queue(topology.JOURNAL, FORMER_FACTS, "#")


async def test_a_running_0_10_can_no_longer_write_to_the_journal(link: Link) -> None:
    await topology.declare(link, ())
    older = await link.publishing.channel(confirms=True)
    await older.delete_exchange(FORMER_FACTS)
    await as_0_10_declares(older)
    await older.publish(FORMER_FACTS, "deploy.taken", Envelope(b"{}"))
    await topology.declare(link, ())
    with pytest.raises(Refused):
        await older.publish(FORMER_FACTS, "deploy.taken", Envelope(b"{}"))


async def test_a_0_10_that_starts_after_the_upgrade_is_refused(link: Link) -> None:
    await topology.declare(link, ())
    with pytest.raises(Mismatch):
        await as_0_10_declares(await link.publishing.channel(confirms=False))


async def test_a_0_10_that_declares_its_exchange_during_the_upgrade_is_shut_out_too(
    link: Link, monkeypatch: pytest.MonkeyPatch
) -> None:
    await topology.declare(link, ())
    refused = 3

    async def declared(link: Link, *, delete_first: bool) -> bool:
        nonlocal refused
        refused -= 1
        if refused > 0:
            channel = await link.publishing.channel(confirms=False)
            await channel.delete_exchange(FORMER_FACTS)
            await as_0_10_declares(channel)
        return await real(link, delete_first=delete_first)

    real = upgrade._declared
    monkeypatch.setattr(upgrade, "_declared", declared)
    await shut_out_former(link)
    with pytest.raises(Mismatch):
        await as_0_10_declares(await link.publishing.channel(confirms=False))


async def test_if_0_10_cannot_be_shut_out_the_error_says_which_processes_to_stop(
    link: Link, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def declared(link: Link, *, delete_first: bool) -> bool:
        return False

    monkeypatch.setattr(upgrade, "_declared", declared)
    with pytest.raises(BrokerError, match=r"processes of Usher 0\.10 or older .* stop them first"):
        await shut_out_former(link)
