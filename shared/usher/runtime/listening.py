"""Listening sockets for services, and free ports."""

import contextlib
import errno
import ipaddress
import socket

from usher.core.errors import ServiceError
from usher.runtime.addresses import join


def listen(host: str, port: int, service: str) -> socket.socket:
    """Open a service's listening socket. The host "::" means every address, of IPv4 too.

    Raises ServiceError if the port is taken or the address is not local.
    """
    everywhere = host == "::" and socket.has_dualstack_ipv6()
    try:
        listening = socket.create_server(
            (host, port),
            family=socket.AF_INET6 if ":" in host else socket.AF_INET,
            backlog=2048,
            dualstack_ipv6=everywhere,
        )
    except OSError as error:
        why = str(error.strerror).partition(" (while")[0]  # the address follows
        if error.errno in (errno.EADDRINUSE, errno.EACCES):
            do = f"stop the program that listens there (another Usher?), or set USHER_{service.upper()}__PORT"
        else:
            do = f"set USHER_{service.upper()}__HOST to an address of this machine"
        raise ServiceError(why=f"{service} cannot listen on {join(host, port)} ({why}); {do}") from None
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


def beyond_loopback(listening: socket.socket) -> str | None:
    """The address that a socket listens on, `host:port`, if other machines can reach it; None if they cannot."""
    host, port = listening.getsockname()[:2]
    return None if is_loopback(host) else join(host, port)


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
