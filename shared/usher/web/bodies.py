"""Reads a request body with a limit. FastAPI's own limit would answer without saying what to do."""

from fastapi import Request

from usher.core.errors import UsherError


class TooLarge(UsherError):
    """the body is larger than {limit} bytes; {setting} sets the limit"""


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
