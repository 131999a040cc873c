"""The HTTP server of each service. It stops cleanly."""

import asyncio
import contextlib
import logging
import socket
from collections.abc import Iterator

import uvicorn
from starlette.types import ASGIApp

from usher.web.connection import Connection

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
    server = _Server(config)
    serving = asyncio.create_task(server.serve(sockets=[listening]))
    host, port = listening.getsockname()[:2]
    log.info("listening on http://%s:%s", host, port)
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait((serving, stopping), return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    server.should_exit = True
    await serving


class _Server(uvicorn.Server):
    """uvicorn without its signal handlers: only a program's entry point handles signals."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield
