"""Which ports are free: as they are found for a broker and for services that are to listen a moment later."""

import socket

from usher.runtime.listening import free_ports


def test_no_two_are_the_same() -> None:
    assert len(set(free_ports(*[0] * 500))) == 500


def test_a_usual_one_is_had_if_nothing_listens_on_it_and_another_if_something_does() -> None:
    with socket.create_server(("127.0.0.1", 0)) as made:
        port = made.getsockname()[1]
        (instead,) = free_ports(port)
    assert instead != port
    assert free_ports(port) == (port,)
