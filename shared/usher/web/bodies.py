"""Request bodies: a limit for each, and one for what all unfinished ones hold in memory."""

from fastapi import HTTPException, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from usher.core.errors import UsherError
from usher.web.faults import RETRY_SECONDS

MEMORY = 64 * 1024 * 1024
"""How many bytes the bodies of all open requests may hold together, beyond the first ones of each."""

UNCOUNTED = 64 * 1024
"""How many bytes of each body do not count, so that large bodies never keep out small ones."""


class TooLarge(UsherError):
    """the body is larger than {limit} bytes; {setting} sets the limit"""


class Bodies:
    """Middleware: answers a request with 503 if its body no longer fits into the memory for all bodies."""

    def __init__(self, app: ASGIApp, memory: int = MEMORY) -> None:
        self._app = app
        self._free = memory

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        held = -UNCOUNTED

        async def counted() -> Message:
            nonlocal held
            message = await receive()
            size = len(message.get("body", b""))
            counting = max(0, held + size) - max(0, held)
            if counting > self._free:
                again = {"Retry-After": str(RETRY_SECONDS)}
                raise HTTPException(503, "too many large bodies arrive at once; send it again soon", again)
            held += size
            self._free -= counting
            return message

        try:
            await self._app(scope, counted, send)
        finally:
            self._free += max(0, held)


async def read_body(request: Request, limit: int, setting: str) -> bytes:
    """Read the whole body. Raises TooLarge as soon as it exceeds `limit` bytes, whatever its headers say.

    `setting` is the name of the limit's setting, for the error message.
    """
    length = request.headers.get("content-length", "")
    if length.isascii() and length.isdigit() and (len(length) > 18 or int(length) > limit):
        raise TooLarge(limit=limit, setting=setting)
    body = bytearray()
    async for chunk in request.stream():
        if len(body) + len(chunk) > limit:
            raise TooLarge(limit=limit, setting=setting)
        body += chunk
    return bytes(body)
