"""The HTTP API for parked messages that cannot be read."""

from collections.abc import Awaitable, Callable

from fastapi import FastAPI
from pydantic import BaseModel

from usher.api.types import UnreadableMessage


class UnreadableMessages(BaseModel):
    """Parked messages that cannot be read, in the order of the queue."""

    items: list[UnreadableMessage]


def add_unreadable(app: FastAPI, unreadable: Callable[[], Awaitable[list[UnreadableMessage]]]) -> None:
    """Add `GET /api/parked/unreadable`."""

    @app.get("/api/parked/unreadable", tags=["parked"])
    async def parked_unreadable() -> UnreadableMessages:
        """Parked messages that Usher cannot read, at most 100: something that does not come from Usher was published.

        The answer may take a second, because the queue is read.
        """
        return UnreadableMessages(items=await unreadable())
