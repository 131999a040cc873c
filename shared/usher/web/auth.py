"""Access control: refuses requests that a browser sends for another site's page."""

from fastapi import Request

from usher.core.errors import UsherError


class ForeignPage(UsherError):
    """requests from another site's page are refused; use the `usher` command or /docs"""


async def refuse_foreign_pages(request: Request) -> None:
    """Raise ForeignPage if a browser sends the request for another site's page. Programs do not send this header.

    Source: https://developer.mozilla.org/en-US/docs/Web/HTTP/Reference/Headers/Sec-Fetch-Site
    """
    if request.headers.get("sec-fetch-site", "none") not in ("same-origin", "none"):
        raise ForeignPage
