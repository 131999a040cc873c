"""A client's connection: deadlines for what it sends and receives, and clear answers to what is not HTTP."""

import asyncio
import json
import logging
from http import HTTPStatus
from typing import Any

import h11
from uvicorn import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from usher.web.strict import StrictConnection

HEAD_SECONDS = 10.0
"""How long a client may take to send a request line and headers, from when the connection is open or free again."""

BODY_SECONDS = 30.0
"""How long a client may take to send a body. Jira gives up after about as long."""

READ_SECONDS = 30.0
"""How long a client may leave an answer unread while more of it is waiting."""

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


class Connection(H11Protocol):
    """uvicorn's connection, except that nothing lasts for ever and that every refusal is a sentence."""

    def __init__(self, config: Config, server_state: Connections, app_state: dict[str, Any], _loop: Any = None) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self.conn: StrictConnection = StrictConnection()
        self._all = server_state
        self._sending: object = None
        self._leaving = False
        self._late: asyncio.TimerHandle | None = None
        self._unread: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if self.client:  # an IPv6 socket shows an IPv4 client as ::ffff:10.0.0.5
            self.client = (self.client[0].removeprefix("::ffff:"), self.client[1])
        self._note()

    def data_received(self, data: bytes) -> None:
        if not self._leaving:
            super().data_received(data)
            self._note()

    def on_response_complete(self) -> None:
        super().on_response_complete()
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
        self._refuse(400, f"this is not a valid HTTP/1.1 request: {self.conn.fault[:200]}")

    def end(self) -> None:
        """Close at once. What was written and not yet delivered is lost."""
        self._all.waiting.pop(self, None)
        self._all.connections.discard(self)
        self.transport.abort()

    def _note(self) -> None:
        """Start the deadline of what the client has to send now, unless it is running."""
        if self._leaving:
            return
        if self.cycle is None or self.cycle.response_complete or self.conn.their_state is h11.SEND_BODY:
            self._all.waiting.setdefault(self)
            self._all.changed.set()
        else:
            self._all.waiting.pop(self, None)
        if self.transport.is_closing() or self.conn.their_state is self._sending:
            return
        self._sending = self.conn.their_state
        if self._late:
            self._late.cancel()
        if self._sending is h11.IDLE:
            self._late = self.loop.call_later(HEAD_SECONDS, self._too_late, "request line and headers", HEAD_SECONDS)
        elif self._sending is h11.SEND_BODY:
            self._late = self.loop.call_later(BODY_SECONDS, self._too_late, "body", BODY_SECONDS)

    def _too_late(self, what: str, seconds: float) -> None:
        if self._sending is h11.IDLE and not self.conn.trailing_data[0]:
            self._leave()  # nothing was asked
            return
        log.warning("%s sent no complete %s within %g s", self.client and self.client[0], what, seconds)
        self._refuse(408, f"the {what} did not arrive within {seconds:g} s; send the request again")

    def _refuse(self, code: int, detail: str) -> None:
        """Answer with a sentence, unless an answer has begun already, and close."""
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            body = json.dumps({"detail": detail}).encode()
            headers = [
                *self.server_state.default_headers,
                (b"content-type", b"application/json"),
                (b"content-length", b"%d" % len(body)),
                (b"connection", b"close"),
            ]
            for event in (
                h11.Response(status_code=code, headers=headers, reason=HTTPStatus(code).phrase.encode()),
                h11.Data(data=body),
                h11.EndOfMessage(),
            ):
                self.transport.write(self.conn.send(event) or b"")
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
