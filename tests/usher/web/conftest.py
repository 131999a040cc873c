"""A small app with everything that each service's app has, served on a real socket."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest
from fastapi import FastAPI

from usher.runtime.listening import listen
from usher.web.app import web_app
from usher.web.page import About
from usher.web.server import serve_web
from wire import Wire

ABOUT = About("trackers", "An app for tests.", commands=(("usher send ABC-1 beta", "report a <move>"),))


@pytest.fixture
def make_app() -> Callable[..., FastAPI]:
    """Makes an app with the routes of every service."""

    def make(unready: str | None = None) -> FastAPI:
        async def why() -> str | None:
            return unready

        return web_app(ABOUT, why)

    return make


Serving = Callable[[FastAPI], AbstractAsyncContextManager[Wire]]


@pytest.fixture
def serving() -> Serving:
    """Serves an app on a free port while the block runs."""

    @asynccontextmanager
    async def serve(app: FastAPI) -> AsyncIterator[Wire]:
        stop = asyncio.Event()
        with listen("127.0.0.1", 0, "trackers") as listening:
            server = asyncio.create_task(serve_web(app, listening, stop))
            try:
                yield (wire := Wire(*listening.getsockname()))
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
