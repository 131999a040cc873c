"""The web app of each service: health, readiness, and self-hosted API documentation."""

from datetime import UTC, datetime
from importlib.metadata import version

from fastapi import FastAPI, Response
from fastapi_offline import FastAPIOffline

from usher.api.types import rfc3339
from usher.web.readiness import Unready

BODY_LIMIT = 1024 * 1024
"""The default limit of a request body, in bytes."""


def web_app(title: str, unready: Unready, body_limit: int | None = BODY_LIMIT) -> FastAPI:
    """An app with `GET /health` (the process answers) and `GET /ready` (200 if it can do its work, else 503).

    A request body of more than `body_limit` bytes is answered with 413. None sets no limit.
    """
    app = FastAPIOffline(title=title, version=version("usher"), max_body_size=body_limit)
    started_at = rfc3339(datetime.now(UTC))

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

    return app
