"""Requests that miss their route by a slash or a letter."""

import difflib
import logging
import re
from collections.abc import Iterable
from http import HTTPStatus

from fastapi import FastAPI, Request, Response
from fastapi.exception_handlers import http_exception_handler
from starlette.exceptions import HTTPException
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from usher.settings import Settings
from usher.web.guard import READING, sender

ELSEWHERE = {"trackers": ("/webhooks", "/messages"), "successes": ("/api",)}
"""The beginnings of the paths that one service alone answers."""

log = logging.getLogger(__name__)


class Forgiving:
    """Middleware: extra slashes make no difference, and HEAD gets the headers of GET. Nothing is redirected."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            # a copy: the server still has to know that the answer to HEAD has no body
            path = re.sub("/+", "/", scope["path"]).rstrip("/") or "/"
            method = "GET" if scope["method"] == "HEAD" else scope["method"]
            scope = {**scope, "path": path, "raw_path": path.encode(), "method": method}
        await self._app(scope, receive, send)


def explain_misses(app: FastAPI, service: str, settings: Settings) -> None:
    """Answer an unknown path or a wrong method with what would be right; log it if it was to change something."""

    async def answer(request: Request, fault: Exception) -> Response:
        assert isinstance(fault, HTTPException)  # noqa: S101 - registered only for this type
        if fault.detail == HTTPStatus(fault.status_code).phrase:  # no route has written a sentence
            method, path = request.method, request.scope["path"][:200]
            advice = _elsewhere(path, service, settings) or _advice(method, path, app.routes)
            fault = HTTPException(fault.status_code, f"{method} {path} does not exist here; {advice}", fault.headers)
            if method not in READING:
                log.warning("refused a request from %s: %s", sender(request), fault.detail)
        return await http_exception_handler(request, fault)

    for code in (HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED):
        app.add_exception_handler(code, answer)


def _elsewhere(path: str, service: str, settings: Settings) -> str | None:
    for other, beginnings in ELSEWHERE.items():
        if other != service and path.startswith(beginnings):
            port = getattr(settings, other).port
            return f"{other} answers it, on port {port}"
    return None


def _advice(method: str, path: str, routes: Iterable[BaseRoute]) -> str:
    known = [route for route in routes if isinstance(route, Route)]
    there = sorted({verb for route in known if route.path_regex.match(path) for verb in route.methods or ()})
    if there and path != "/":
        return f"use {' or '.join(there)}"
    paths = [route.path for route in known if method in (route.methods or ())]
    if near := difflib.get_close_matches(path, paths, n=1, cutoff=0.5):
        return f"did you mean {near[0]}?"
    if method in READING or not paths:
        return "the page / says what is here"
    return f"{method} is for {' and '.join(paths)}"
