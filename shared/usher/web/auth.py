"""Who may call: a browser that acts for another site's page may not."""

from fastapi import Request

from usher.core.errors import UsherError


class ForeignPage(UsherError):
    """a page of another site may not give orders to Usher; use the `usher` command or /docs"""


async def refuse_foreign_pages(request: Request) -> None:
    """Raises ForeignPage for a request that a browser sends for another site's page. Programs send no such header.

    Source: https://developer.mozilla.org/en-US/docs/Web/HTTP/Reference/Headers/Sec-Fetch-Site
    """
    if request.headers.get("sec-fetch-site", "none") not in ("same-origin", "none"):
        raise ForeignPage
