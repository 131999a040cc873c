"""Listening sockets for services, and free ports."""

import contextlib
import os
import socket
from ipaddress import ip_address

from usher.core.errors import ServiceError


def listen(host: str, port: int, service: str) -> socket.socket:
    """Open a service's listening socket. Raises ServiceError if the port is taken or the address is not local."""
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listening = socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        number = error.errno or 0
        why = os.strerror(number) if number > 0 else "there is no such address"  # a resolver's numbers are negative
        raise ServiceError(
            why=f"{service} cannot listen on {host}:{port} ({why}); "
            f"stop the program that listens there (another Usher?), or set USHER_{service.upper()}__PORT"
        ) from None
    # asyncio sets it only on sockets with an explicit protocol; without it, answers on kept connections take 40 ms
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listening


def beyond_loopback(listening: socket.socket) -> str | None:
    """The address that a socket listens on, `host:port`, if other machines can reach it; None if they cannot."""
    host, port = listening.getsockname()[:2]
    if ip_address(host.partition("%")[0]).is_loopback:
        return None
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def free_ports(*preferred: int) -> tuple[int, ...]:
    """Find free ports of 127.0.0.1, all different: each preferred one if nothing listens on it, otherwise any other.

    0 means no preference. Raises ServiceError if no port is free.
    """
    with contextlib.ExitStack() as held:
        return tuple(held.enter_context(_free(port)).getsockname()[1] for port in preferred)


def _free(preferred: int) -> socket.socket:
    for port in (preferred, 0):
        if port and _listens(port):
            continue
        with contextlib.suppress(OSError):
            return socket.create_server(("127.0.0.1", port))
    raise ServiceError(why="no port of 127.0.0.1 is free; stop a program that listens there")


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=2).close()
    except OSError:
        return False
    return True
