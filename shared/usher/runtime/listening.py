"""Listening sockets for services, and free ports."""

import contextlib
import ipaddress
import os
import socket

from usher.core.errors import ServiceError


def listen(host: str, port: int, service: str) -> socket.socket:
    """Open a service's listening socket. Raises ServiceError if the port is taken or the address is not local."""
    try:
        listening = socket.create_server((host, port), backlog=512)
    except OSError as error:
        raise ServiceError(
            why=f"{service} cannot listen on {host}:{port} ({os.strerror(error.errno or 0)}); "
            f"stop the program that listens there (another Usher?), or set USHER_{service.upper()}__PORT"
        ) from None
    # asyncio sets it only on sockets with an explicit protocol; without it, answers on kept connections take 40 ms
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listening


def is_loopback(host: str) -> bool:
    """Whether only this machine can connect to what listens on `host`. False if the name is unknown."""
    try:
        found = {str(address[0]) for *_, address in socket.getaddrinfo(host, None)} if host else set()
    except OSError:
        return False
    return bool(found) and all(ipaddress.ip_address(address).is_loopback for address in found)


def _listens(port: int) -> bool:
    """Whether something listens on that port of 127.0.0.1."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=2).close()
    except OSError:
        return False
    return True


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
