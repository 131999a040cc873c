"""Listening sockets, and free ports for a broker or services that will listen on them a moment later."""

import socket

import pytest

from usher.core.errors import ServiceError
from usher.runtime.listening import beyond_loopback, free_ports, listen


def test_all_ports_are_different() -> None:
    assert len(set(free_ports(*[0] * 500))) == 500


def test_a_preferred_port_is_used_unless_something_listens_on_it() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        (instead,) = free_ports(port)
    assert instead != port
    assert free_ports(port) == (port,)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_a_service_listens_on_ipv4_and_on_ipv6(host: str) -> None:
    with listen(host, 0, "trackers") as listening, socket.create_connection(listening.getsockname()[:2]):
        assert listening.getsockname()[0] == host


def test_an_address_that_does_not_exist_is_an_error_that_says_so() -> None:
    with pytest.raises(ServiceError, match=r"cannot listen on no\.such\.invalid:0 \(there is no such address\)"):
        listen("no.such.invalid", 0, "trackers")


def test_it_is_known_whether_other_machines_reach_a_socket() -> None:
    for host, port_of in (("127.0.0.1", None), ("::1", None), ("0.0.0.0", "0.0.0.0:{}"), ("::", "[::]:{}")):
        with listen(host, 0, "trackers") as listening:
            expected = port_of and port_of.format(listening.getsockname()[1])
            assert beyond_loopback(listening) == expected
