"""The web app of each service: its page, health, readiness, and self-hosted API documentation."""

from datetime import UTC, datetime
from importlib.metadata import version

from fastapi import FastAPI, Response
from fastapi.responses import HTMLResponse
from fastapi_offline import FastAPIOffline
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from usher.api.types import rfc3339
from usher.settings import Settings
from usher.settings.sections import WebSettings
from usher.web.bodies import MEMORY, Bodies
from usher.web.guard import Guard
from usher.web.misses import Forgiving, explain_misses
from usher.web.page import About, show
from usher.web.readiness import Unready

BODY_LIMIT = 1024 * 1024
"""The default limit of a request body, in bytes."""


def web_app(about: About, settings: Settings, unready: Unready, body_limit: int | None = BODY_LIMIT) -> FastAPI:
    """An app with a page at `/`, `GET /health` (the process answers) and `GET /ready` (200 if it can do its work).

    A request body of more than `body_limit` bytes is answered with 413. None sets no limit. All bodies together may
    hold MEMORY, or twice the limit of one if that is more.
    """
    app = FastAPIOffline(
        title=f"Usher: {about.service}", version=version("usher"), max_body_size=body_limit, redirect_slashes=False
    )
    _add_health(app, about, unready)
    explain_misses(app, about.service, settings)
    own: WebSettings = getattr(settings, about.service)
    app.add_middleware(Bodies, memory=max(MEMORY, 2 * settings.trackers.body_limit))
    app.add_middleware(Guard, urls=settings.web.urls, host=own.host)
    app.add_middleware(Forgiving)
    app.add_middleware(ProxyHeadersMiddleware, trusted_hosts=list(settings.web.proxies))
    return app


def _add_health(app: FastAPI, about: About, unready: Unready) -> None:
    started_at = rfc3339(datetime.now(UTC))

    @app.get("/", include_in_schema=False)
    async def page() -> HTMLResponse:
        return show(about, app.version, await unready())

    @app.get("/health", tags=["health"])
    async def health() -> dict[str, str]:
        """This process answers. It has been running since `started_at`, with the settings of that time."""
        return {"status": "ok", "started_at": started_at}

    @app.get("/ready", tags=["health"], responses={503: {"description": "Not ready"}})
    async def readiness(response: Response) -> dict[str, str]:
        """This process can do its work: it is connected to the broker, and the broker answers."""
        reason = await unready()
        if reason is None:
            return {"status": "ready"}
        response.status_code = 503
        return {"status": "not ready", "reason": reason}
