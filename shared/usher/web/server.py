"""The HTTP server of each service: accepts connections while there is room, and stops cleanly."""

import asyncio
import contextlib
import logging
import os
import resource
import socket
from collections.abc import Iterator

import uvicorn
from starlette.types import ASGIApp

from usher.runtime.tasks import until_first
from usher.web.connection import Connection, Connections

MOST_CONNECTIONS = 1000
"""How many connections are open at once, at most. Half of the process's file descriptors stay free for its work."""

PAUSE = 1.0
"""Seconds before accepting connections again, after the system has refused one."""

log = logging.getLogger(__name__)


async def serve_web(app: ASGIApp, listening: socket.socket, stop: asyncio.Event) -> None:
    """Serve the app on a socket until `stop` is set. Running requests then get five seconds."""
    config = uvicorn.Config(
        app,
        http=Connection,
        ws="none",
        log_config=None,
        access_log=False,
        lifespan="off",
        timeout_graceful_shutdown=5,
        server_header=False,
        proxy_headers=False,  # it believes every program on this machine; the app's own middleware asks the settings
    )
    server = _Server(config, listening)
    serving = asyncio.create_task(server.serve(sockets=[listening]))
    host, port = listening.getsockname()[:2]
    log.info("listening on http://%s:%s", f"[{host}]" if ":" in host else host, port)
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait((serving, stopping), return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    server.should_exit = True
    await serving


def _most_connections() -> int:
    descriptors, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return min(MOST_CONNECTIONS, descriptors // 2) if descriptors > 0 else MOST_CONNECTIONS


class _Server(uvicorn.Server):
    """uvicorn, which accepts no more connections than there is room for. Only entry points handle signals."""

    def __init__(self, config: uvicorn.Config, listening: socket.socket) -> None:
        super().__init__(config)
        self.server_state = self._connections = Connections(_most_connections())
        self._listening = listening

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        self.servers = []  # asyncio's accept as many as come, and log each failure
        self.started = True

    async def main_loop(self) -> None:
        await until_first(super().main_loop(), self._accept())

    async def _accept(self) -> None:
        """Accept connections one at a time: what has arrived on a connection is read before the next one opens."""
        loop = asyncio.get_running_loop()
        self._listening.setblocking(False)
        while True:
            try:
                connection, _ = await loop.sock_accept(self._listening)
            except OSError as error:
                log.warning("cannot accept a connection: %s", os.strerror(error.errno or 0))
                await asyncio.sleep(PAUSE)
                continue
            with contextlib.ExitStack() as owned:
                owned.callback(connection.close)
                await self._connections.room()
                await loop.connect_accepted_socket(self._connect, connection)
                owned.pop_all()

    def _connect(self) -> Connection:
        return Connection(self.config, self._connections, app_state={})
