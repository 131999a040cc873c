"""Finding free ports for what will listen on them a moment later, and who can reach an address."""

import socket

import pytest

from usher.runtime.listening import free_ports, is_loopback


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
