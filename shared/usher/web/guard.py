"""Who may ask: refuses what a browser sends for another site's page, or to a name that is not Usher's.

A page of another site can make a browser send requests to any address that the browser reaches. `Origin` names that
page. A page whose own name has been pointed at Usher's address (DNS rebinding) names itself in `Host` too, so only
names count that nobody else can own.
"""

import logging
import re
from collections.abc import Iterable
from ipaddress import ip_address

from fastapi import Request
from fastapi.responses import JSONResponse
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from usher.core.errors import UsherError

READING = ("GET", "HEAD", "OPTIONS")
"""The methods that change nothing."""

ANY_HOST = re.compile("/webhooks/.*|/health|/ready")
"""Paths that proxies and load balancers ask for, under any name."""

_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(:\d*)?")

log = logging.getLogger(__name__)


class ForeignPage(UsherError):
    """requests from another site's page are refused ({page}); if that page is Usher's own, add its URL to [web] urls"""


class UnknownHost(UsherError):
    """this Usher is not known as {host}; use its address, or add "http://{host}" to [web] urls"""


def sender(request: Request) -> str:
    """The address that a request came from; "nobody" if it is not known, or if a proxy's header has none."""
    try:
        return str(ip_address((request.client.host if request.client else "").partition("%")[0]))
    except ValueError:
        return "nobody"


class Guard:
    """Middleware: answers foreign requests with 403. `urls` are Usher's own URLs, `host` the name it listens on."""

    def __init__(self, app: ASGIApp, urls: Iterable[str], host: str) -> None:
        self._app = app
        self._urls = frozenset(urls)
        self._names = {host.lower(), *(_name(url.partition("://")[2]) for url in self._urls)}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        fault = self._fault(scope["method"], scope["path"], Headers(scope=scope))
        if fault is None:
            await self._app(scope, receive, _unframed(send))
            return
        log.warning("refused %s %.200s from %s: %s", scope["method"], scope["path"], sender(Request(scope)), fault)
        await JSONResponse({"detail": str(fault)}, 403)(scope, receive, send)

    def _fault(self, method: str, path: str, headers: Headers) -> UsherError | None:
        host = headers.get("host", "").lower()
        known = self._is_known(host)
        if host and not known and not ANY_HOST.fullmatch(path):
            return UnknownHost(host=host[:100])
        origins = headers.getlist("origin")
        if method in READING or (origins and self._urls.issuperset(origins)):
            return None
        for origin in origins:
            if not known or origin.partition("://")[2] != host:
                return ForeignPage(page=origin[:100])
        site = headers.get("sec-fetch-site", "none")
        return None if site in ("same-origin", "none") else ForeignPage(page=site[:100])

    def _is_known(self, host: str) -> bool:
        """Whether a `Host` header names an address, this machine, or one of Usher's URLs."""
        name = _name(host)
        # a name without a dot belongs to this machine or its network: no other site can own it
        return bool(name) and (
            name in self._names or "." not in name or name.endswith(".localhost") or _is_address(name)
        )


def _name(host: str) -> str:
    """The name in `Host`, without the port; empty if it is none."""
    found = _HOST.fullmatch(host)
    return found[1].strip("[]").rstrip(".") if found else ""


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True


def _unframed(send: Send) -> Send:
    """Forbid other sites' pages to show an answer in a frame, and browsers to guess what it is."""

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            headers["X-Frame-Options"] = "DENY"
            headers["X-Content-Type-Options"] = "nosniff"
        await send(message)

    return sending
