"""A small app with everything that each service's app has, served on a real socket."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest
from fastapi import FastAPI, Request

from usher.runtime.listening import listen
from usher.settings import load
from usher.web.app import web_app
from usher.web.faults import answer_faults
from usher.web.guard import sender
from usher.web.page import About
from usher.web.server import serve_web
from wire import Wire

ABOUT = About("trackers", "An app for tests.", commands=(("usher send ABC-1 beta", "report a <move>"),))


@pytest.fixture
def make_app() -> Callable[..., FastAPI]:
    """Makes an app with the routes of every service, and `POST /things`, which answers who sent how many bytes."""

    def make(unready: str | None = None, **variables: str) -> FastAPI:
        async def why() -> str | None:
            return unready

        settings = load({f"USHER_{name}": value for name, value in variables.items()})
        app = web_app(ABOUT, settings, why, body_limit=None)
        answer_faults(app, {})

        @app.post("/things")
        async def things(request: Request) -> dict[str, object]:
            return {"from": sender(request), "bytes": len(await request.body())}

        @app.get("/much")
        async def much() -> str:
            return "x" * 20_000_000

        return app

    return make


Serving = Callable[..., AbstractAsyncContextManager[Wire]]


@pytest.fixture
def serving() -> Serving:
    """Serves an app while the block runs: on a free port of 127.0.0.1, or on another listening socket."""

    @asynccontextmanager
    async def serve(app: FastAPI, other: socket.socket | None = None) -> AsyncIterator[Wire]:
        stop = asyncio.Event()
        with other or listen("127.0.0.1", 0, "trackers") as listening:
            server = asyncio.create_task(serve_web(app, listening, stop))
            try:
                yield (wire := Wire("127.0.0.1", listening.getsockname()[1]))
                await wire.close()
            finally:
                stop.set()
                await server

    return serve


@pytest.fixture
async def wire(make_app: Callable[..., FastAPI], serving: Serving) -> AsyncIterator[Wire]:
    """A server with the default settings."""
    async with serving(make_app()) as running:
        yield running
