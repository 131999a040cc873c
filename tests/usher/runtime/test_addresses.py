"""Hosts and ports as addresses, for both versions of IP."""

import pytest
from yarl import URL

from usher.local.choose import console_of
from usher.runtime.addresses import join, local_url
from usher.settings import load
from usher.up import programs


@pytest.mark.parametrize(
    ("host", "joined"),
    [("127.0.0.1", "127.0.0.1:1"), ("::1", "[::1]:1"), ("2001:db8::7", "[2001:db8::7]:1"), ("a.b", "a.b:1")],
)
def test_an_ipv6_address_is_in_brackets(host: str, joined: str) -> None:
    assert join(host, 1) == joined
    assert URL(f"http://{joined}").host == host


@pytest.mark.parametrize(
    ("host", "url"), [("::", "http://[::1]:1"), ("::1", "http://[::1]:1"), ("0.0.0.0", "http://127.0.0.1:1")]
)
def test_all_addresses_are_reached_at_one_of_them(host: str, url: str) -> None:
    assert local_url(host, 1) == url


@pytest.mark.parametrize("written", ["::1", "[::1]", " [::1] "])
def test_a_host_in_the_settings_may_have_the_brackets_of_a_url(written: str) -> None:
    settings = load({"USHER_TRACKERS__HOST": written, "USHER_TRACKERS__PORT": "8001"})
    assert settings.trackers.host == "::1"
    assert programs(settings)[-1].url == "http://[::1]:8001"


@pytest.mark.parametrize(
    ("address", "console"),
    [
        ("amqp://u:p@[::1]:25672/", "http://[::1]:35672"),
        ("amqps://u:p@[2001:db8::7]/v", "https://[2001:db8::7]:15671"),
        ("amqp://host/", "http://host:15672"),
    ],
)
def test_the_console_of_a_broker(address: str, console: str) -> None:
    assert console_of(address) == console
