"""A client's connection: deadlines for what it sends and receives, and clear answers to what is not HTTP."""

import asyncio
import json
import logging
import sys
from typing import Any

from httptools import HttpParserCallbackError, HttpParserError
from uvicorn import Config
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from usher.web.strict import HEAD_BYTES, Ambiguous, check_head

HEAD_SECONDS = 10.0
"""How long a client may take to send a request line and headers, from when the connection is open or free again."""

BODY_SECONDS = 30.0
"""How long a client may take to send a body. Jira gives up after about as long."""

READ_SECONDS = 30.0
"""How long a client may leave an answer unread while more of it is waiting."""

MOST_PIPELINED = 10
"""How many requests of a connection may wait for the answer to an earlier one."""

INVALID = "this is not a valid HTTP/1.1 request: "

LINGER_SECONDS = 5.0
"""How long the client may take to read the last answer. Until then, what it still sends is thrown away."""

log = logging.getLogger(__name__)


class Connections(ServerState):
    """The open connections, at most `limit`, and which of them wait for their client, longest first."""

    def __init__(self, limit: int) -> None:
        super().__init__()
        self.waiting: dict[Connection, None] = {}
        self.changed = asyncio.Event()
        self._limit = limit

    async def room(self) -> None:
        """Wait until there is room for one more. The connection that has waited longest for its client is closed."""
        while len(self.connections) >= self._limit:
            if self.waiting:
                log.warning("all %d connections are in use; closing those that send no complete request", self._limit)
                next(iter(self.waiting)).end()
            else:
                self.changed.clear()
                await self.changed.wait()


class Connection(HttpToolsProtocol):
    """uvicorn's connection, except that nothing lasts for ever and that every refusal is a sentence."""

    def __init__(self, config: Config, server_state: Connections, app_state: dict[str, Any], _loop: Any = None) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._all = server_state
        self._begun = self._in_body = self._leaving = False
        self._unparsed = 0
        self._answering: RequestResponseCycle | None = None
        self._refusal: tuple[int, str] | None = None
        self._awaited: str | None = None
        self._late: asyncio.TimerHandle | None = None
        self._unread: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if self.client:  # an IPv6 socket shows an IPv4 client as ::ffff:10.0.0.5
            self.client = (self.client[0].removeprefix("::ffff:"), self.client[1])
        self._note()

    def data_received(self, data: bytes) -> None:
        if self._leaving or self._refusal:
            return
        self._unparsed += len(data)
        super().data_received(data)
        if self._unparsed > HEAD_BYTES:
            self._refuse(400, f"{INVALID}its headers are longer than {HEAD_BYTES} bytes")
        self._note()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._begun = True
        if len(self.pipeline) >= MOST_PIPELINED:
            raise Ambiguous(why=f"more than {MOST_PIPELINED} requests wait for their answers")

    def on_headers_complete(self) -> None:
        self._unparsed = 0
        check_head(self.parser.get_http_version(), self.url, self.headers)
        super().on_headers_complete()
        self._in_body = True
        if self.parser.should_upgrade():
            self.cycle.keep_alive = False  # what follows is not HTTP

    def on_body(self, body: bytes) -> None:
        self._unparsed = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._unparsed = 0
        self._begun = self._in_body = False
        super().on_message_complete()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._answering = cycle
        super()._start_asgi_task(cycle, app)

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self._refusal and not self._is_answering:
            self._refuse(*self._refusal)
        self._note()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        for timer in (self._late, self._unread):
            if timer:
                timer.cancel()
        self._all.waiting.pop(self, None)
        self._all.changed.set()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._unread = self.loop.call_later(READ_SECONDS, self.end)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._unread:
            self._unread.cancel()

    def timeout_keep_alive_handler(self) -> None:
        self._leave()

    def shutdown(self) -> None:
        if self._leaving:
            self.end()
        else:
            super().shutdown()

    def send_400_response(self, msg: str) -> None:
        fault = sys.exception()  # uvicorn calls this while it handles an error of the parser
        if isinstance(fault, HttpParserCallbackError):
            fault = fault.__context__  # what one of the methods above has raised
        if not isinstance(fault, Ambiguous | HttpParserError):
            log.error("a request could not be read", exc_info=fault)
        self._refuse(400, f"{INVALID}{str(fault)[:200]}")

    def end(self) -> None:
        """Close at once. What was written and not yet delivered is lost."""
        self._all.waiting.pop(self, None)
        self._all.connections.discard(self)
        self.transport.abort()

    @property
    def _is_answering(self) -> bool:
        return self._answering is not None and not self._answering.response_complete

    def _note(self) -> None:
        """Start the deadline of what the client has to send now, unless it is running."""
        if self._leaving:
            return
        awaited = "body" if self._in_body else None if self._is_answering else "request line and headers"
        if awaited:
            self._all.waiting.setdefault(self)
            self._all.changed.set()
        else:
            self._all.waiting.pop(self, None)
        if self.transport.is_closing() or awaited == self._awaited:
            return
        self._awaited = awaited
        if self._late:
            self._late.cancel()
        if awaited:
            seconds = BODY_SECONDS if self._in_body else HEAD_SECONDS
            self._late = self.loop.call_later(seconds, self._too_late, awaited, seconds)

    def _too_late(self, what: str, seconds: float) -> None:
        if not self._begun:
            self._leave()  # nothing was asked
            return
        log.warning("%s sent no complete %s within %g s", self.client and self.client[0], what, seconds)
        self._refuse(408, f"the {what} did not arrive within {seconds:g} s; send the request again")

    def _refuse(self, code: int, detail: str) -> None:
        """Answer with a sentence, unless an answer has begun already, and close.

        A request that came before is answered first.
        """
        if self._is_answering and not (self._in_body and self._answering is self.cycle):
            self._refusal = (code, detail)
            if self._in_body and self.pipeline:
                self.pipeline.popleft()
            return
        if not (self._in_body and self.cycle.response_started):
            body = json.dumps({"detail": detail}).encode()
            headers = [
                *self.server_state.default_headers,
                (b"content-type", b"application/json"),
                (b"content-length", b"%d" % len(body)),
                (b"connection", b"close"),
            ]
            lines = (b"%s: %s\r\n" % header for header in headers)
            self.transport.write(b"".join((STATUS_LINE[code], *lines, b"\r\n", body)))
        self._leave()

    def _leave(self) -> None:
        """Send nothing more, and close once the client has read everything, or after a while."""
        self._leaving = True
        self._all.waiting.setdefault(self)
        if self.cycle and not self.cycle.response_complete:  # the app may still be waiting for the body
            self.cycle.disconnected = True
            self.cycle.waiting_for_100_continue = False
            self.cycle.message_event.set()
        self.flow.resume_reading()
        self.transport.write_eof()
        if self._late:
            self._late.cancel()
        self._late = self.loop.call_later(LINGER_SECONDS, self.end)
