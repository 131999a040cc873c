"""Finding free ports, for a broker or services that will listen on them a moment later."""

import socket

from usher.runtime.listening import free_ports


def test_all_ports_are_different() -> None:
    assert len(set(free_ports(*[0] * 500))) == 500


def test_a_preferred_port_is_used_unless_something_listens_on_it() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        (instead,) = free_ports(port)
    assert instead != port
    assert free_ports(port) == (port,)
