"""Listening: a service's socket, or a sentence that says why there is none; and which ports are free."""

import contextlib
import os
import socket

from usher.core.errors import ServiceError


def listen(host: str, port: int, service: str) -> socket.socket:
    """The service's listening socket. Raises ServiceError if the port is taken or the host isn't ours."""
    try:
        listening = socket.create_server((host, port), backlog=512)
    except OSError as error:
        raise ServiceError(
            why=f"{service} cannot listen on {host}:{port} ({os.strerror(error.errno or 0)}); "
            f"stop what listens there (another Usher?), or choose another with USHER_{service.upper()}__PORT"
        ) from None
    # asyncio does it only for sockets that name their protocol; without it each answer on a kept connection waits 40 ms
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listening


def free_ports(*usual: int) -> tuple[int, ...]:
    """Ports of 127.0.0.1, one for each that is named, no two the same: that one if nothing listens on it, else, and for
    0, any that is free. Raises ServiceError if none is."""
    with contextlib.ExitStack() as held:
        return tuple(held.enter_context(_free(port)).getsockname()[1] for port in usual)


def _free(usual: int) -> socket.socket:
    for port in (usual, 0):
        if port and _listens(port):
            continue
        with contextlib.suppress(OSError):
            return socket.create_server(("127.0.0.1", port))
    raise ServiceError(why="no port of 127.0.0.1 is free; stop something that listens there")


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=2).close()
    except OSError:
        return False
    return True
