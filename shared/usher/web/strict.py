"""HTTP/1.1 without the leniencies of h11 that let a proxy and this server see different requests."""

import re

import h11
from h11._receivebuffer import ReceiveBuffer

HEAD_BYTES = 80 * 1024
"""The longest request line and headers, in bytes. A query may have 64 KiB."""

_BARE_LF = re.compile(rb"(?<!\r)\n")


class _Lines(ReceiveBuffer):
    """Lines of limited length that end with CRLF. h11 also accepts LF alone, and more if it arrives at once."""

    def maybe_extract_lines(self) -> list[bytearray] | None:
        self._check(b"\r\n\r\n", self._multiple_lines_search)
        return super().maybe_extract_lines()

    def maybe_extract_next_line(self) -> bytearray | None:
        self._check(b"\r\n", self._next_line_search)
        return super().maybe_extract_next_line()

    def _check(self, end: bytes, known: int) -> None:
        """Check what has arrived up to `end`. The first `known` bytes have been checked before."""
        begin = max(0, known - len(end))
        found = self._data.find(end, begin)
        length = found if found >= 0 else len(self._data)
        if length > HEAD_BYTES:
            raise h11.LocalProtocolError(f"its headers are longer than {HEAD_BYTES} bytes")
        if _BARE_LF.search(self._data, begin, length):
            raise h11.LocalProtocolError("a line ends with LF alone; end it with CRLF")


class StrictConnection(h11.Connection):
    """The server's side of a connection. `fault` says why the last request was refused."""

    fault = ""

    def __init__(self) -> None:
        super().__init__(h11.SERVER, HEAD_BYTES)
        self._receive_buffer = _Lines()

    def next_event(self) -> h11.Event | type[h11.NEED_DATA] | type[h11.PAUSED]:
        try:
            event = super().next_event()
            if isinstance(event, h11.Request) and _has_two_lengths(event):
                raise h11.RemoteProtocolError("it has both Content-Length and Transfer-Encoding; send one of them")
        except h11.RemoteProtocolError as error:
            self.fault = str(error)
            raise
        return event


def _has_two_lengths(request: h11.Request) -> bool:
    return {b"content-length", b"transfer-encoding"} <= {name for name, _ in request.headers}
