"""Listening sockets, free ports for what will listen on them a moment later, and who can reach an address."""

import socket

import pytest

from usher.core.errors import ServiceError
from usher.runtime.listening import beyond_loopback, free_ports, is_loopback, listen


def answers(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), timeout=5).close()
    except OSError:
        return False
    return True


@pytest.mark.parametrize(
    ("host", "reached"),
    [
        ("127.0.0.1", ["127.0.0.1"]),
        ("localhost", ["127.0.0.1"]),
        ("0.0.0.0", ["127.0.0.1"]),
        ("", ["127.0.0.1"]),
        ("::1", ["::1"]),
        ("::", ["::1", "127.0.0.1"]),
    ],
)
def test_a_service_listens_on_addresses_of_both_versions_of_ip(host: str, reached: list[str]) -> None:
    with listen(host, 0, "trackers") as listening:
        port = listening.getsockname()[1]
        assert [address for address in ("::1", "127.0.0.1") if answers(address, port)] == reached


@pytest.mark.parametrize(
    ("host", "says"),
    [
        ("::1", r"cannot listen on \[::1\]:{port} \(Address already in use\); .* or set USHER_DEPLOYS__PORT"),
        ("2001:db8::7", r"cannot listen on \[2001:db8::7\]:{port} \(Cannot assign .*\); set USHER_DEPLOYS__HOST to an"),
        ("no-such-host.invalid", r"on no-such-host.invalid:{port} \((?!Unknown).*not known\); set USHER_DEPLOYS__HOST"),
    ],
)
def test_an_address_that_cannot_be_used_is_named_with_the_reason(host: str, says: str) -> None:
    with listen("::1", 0, "trackers") as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ServiceError, match=says.format(port=port)):
            listen(host, port, "deploys")


def test_all_ports_are_different() -> None:
    assert len(set(free_ports(*[0] * 500))) == 500


def test_a_preferred_port_is_used_unless_something_listens_on_it() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        (instead,) = free_ports(port)
    assert instead != port
    assert free_ports(port) == (port,)


@pytest.mark.parametrize(
    ("host", "only_here"),
    [
        ("127.0.0.1", True), ("127.9.9.9", True), ("::1", True), ("localhost", True),
        ("0.0.0.0", False), ("::", False), ("", False), ("192.0.2.1", False), ("no such host", False),
    ],
)  # fmt: skip
def test_whether_other_machines_can_connect_is_known(host: str, only_here: bool) -> None:
    assert is_loopback(host) is only_here


def test_it_is_known_whether_other_machines_reach_a_socket() -> None:
    for host, port_of in (("127.0.0.1", None), ("::1", None), ("0.0.0.0", "0.0.0.0:{}"), ("::", "[::]:{}")):
        with listen(host, 0, "trackers") as listening:
            expected = port_of and port_of.format(listening.getsockname()[1])
            assert beyond_loopback(listening) == expected
