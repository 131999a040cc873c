"""A client's connection, with clear answers to what is not HTTP."""

import json
from http import HTTPStatus
from typing import Any

import h11
from uvicorn import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from usher.web.strict import StrictConnection


class Connection(H11Protocol):
    """uvicorn's connection, except that every refusal is a sentence."""

    def __init__(self, config: Config, server_state: ServerState, app_state: dict[str, Any], _loop: Any = None) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self.conn: StrictConnection = StrictConnection()

    def send_400_response(self, msg: str) -> None:
        self._refuse(400, f"this is not a valid HTTP/1.1 request: {self.conn.fault[:200]}")

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
        self.transport.close()
