"""Listening: a service's socket, or a sentence that says why there is none."""

import os
import socket

from usher.errors import ServiceError


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
