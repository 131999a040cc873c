"""HTTP/1.1 without the leniencies that let a proxy and this server see different requests.

The parser refuses most of what is ambiguous: bare line feeds, two lengths, a length beside an encoding.
"""

from collections.abc import Iterable

from usher.core.errors import UsherError

HEAD_BYTES = 80 * 1024
"""The longest request line and headers, in bytes. The parser limits the URL to 65,535 of them."""


class Ambiguous(UsherError):
    """{why}"""


def check_head(version: str, url: bytes, headers: Iterable[tuple[bytes, bytes]]) -> None:
    """Check what the parser accepts. Raises Ambiguous."""
    names = [name for name, _ in headers]
    if len(url) + sum(len(name) + len(value) for name, value in headers) > HEAD_BYTES:
        raise Ambiguous(why=f"its headers are longer than {HEAD_BYTES} bytes")
    hosts = names.count(b"host")
    if hosts > 1 or (version != "1.0" and not hosts):
        raise Ambiguous(why="it has no Host header" if not hosts else "it has several Host headers")
    encodings = [value.strip().lower() for name, value in headers if name == b"transfer-encoding"]
    if encodings and encodings != [b"chunked"]:
        raise Ambiguous(why="its Transfer-Encoding is not chunked")
