"""A client of the services' HTTP APIs, at the addresses in the settings."""

import getpass
import os
import secrets
import socket
from collections.abc import Iterable, Iterator
from datetime import datetime
from types import TracebackType
from typing import Any, Literal, Self
from urllib.parse import quote

import httpx

from usher.api.answers import fault_of, json_of, read
from usher.api.orders import OrderState
from usher.api.types import (
    Deploy,
    Health,
    Hold,
    IgnoredMove,
    MessageState,
    ParkedMessage,
    ServerState,
    UnreadableMessage,
)
from usher.core.errors import ServiceError
from usher.core.messages import BackMessage
from usher.runtime.addresses import local_url
from usher.settings import Settings
from usher.settings.sections import WebSettings

SECONDS = 15.0
ORDER_ASKS = 3
"""How often an order is sent, always with the same id, until an answer says that it has been carried out."""
PER_PAGE = 500
LONGEST_NAME = 100
SERVICES = ("trackers", "deploys", "successes")


class NotFound(ServiceError):
    """{why}"""


class NoAnswer(ServiceError):
    """{why}"""


def base_url(web: WebSettings) -> str:
    """The URL at which this machine reaches a service."""
    return local_url(web.host, web.port)


def who() -> str:
    """Who runs this program, for the `by` of orders: `jane@desk`."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a number without a name, as in some containers
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()}"[:LONGEST_NAME]


class Client:
    """A client of trackers and successes. Close it, or use it in a `with` block.

    Every method that sends a request raises ServiceError, whose message says what to do.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        # ignore proxies in the environment: they are for requests to the internet
        self._http = httpx.Client(timeout=SECONDS, trust_env=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def send(self, issue: str, status: str) -> BackMessage:
        """Report a move. Returns the message, which the broker has confirmed."""
        answer = self._ask("trackers", "POST", "/messages", json={"issue_id": issue, "status": status, "by": who()})
        return read(BackMessage, json_of(answer))

    def withdraw(self, issues: Iterable[str], server: str | None = None, *, reason: str = "") -> OrderState:
        """Order that pending messages of these issues are withdrawn, on that server or on all. Running deploys go on.

        Raises NotFound if there is no such server.
        """
        return self._order("withdraw", server=server, issues=list(issues), reason=reason)

    def ignored(self, limit: int = PER_PAGE, **matching: str) -> list[IgnoredMove]:
        """The latest moves that trackers ignored, at most `limit`, newest first. Filters in `matching`: issue."""
        return [read(IgnoredMove, item) for item in self._pages("/api/ignored", limit, **matching)]

    def servers(self) -> list[ServerState]:
        """Every server."""
        return [read(ServerState, item) for item in self._pages("/api/servers")]

    def server(self, name: str) -> ServerState:
        """One server. Raises NotFound."""
        return read(ServerState, json_of(self._ask("successes", "GET", f"/api/servers/{quote(name, safe='')}")))

    def messages(self, limit: int = PER_PAGE, **matching: str) -> list[MessageState]:
        """At most `limit` messages, newest first. Filters in `matching`: project, status, state, issue, server, id."""
        return [read(MessageState, item) for item in self._pages("/api/messages", limit, **matching)]

    def deploys(self, limit: int = PER_PAGE, **matching: str) -> list[Deploy]:
        """At most `limit` deploys, newest first. Filters in `matching`: server, outcome, and since and until, the times
        (RFC 3339) between which they began."""
        return [read(Deploy, item) for item in self._pages("/api/deploys", limit, **matching)]

    def deploy(self, deploy: str) -> Deploy:
        """One deploy. Raises NotFound."""
        return read(Deploy, json_of(self._ask("successes", "GET", f"/api/deploys/{quote(deploy, safe='')}")))

    def log(self, deploy: str) -> str:
        """The end of the output of a deploy's command. Raises NotFound."""
        return self._ask("successes", "GET", f"/api/deploys/{quote(deploy, safe='')}/log").text

    def parked(self, **matching: str) -> list[ParkedMessage]:
        """The parked messages. Filters in `matching`: server, issue."""
        return [read(ParkedMessage, item) for item in self._pages("/api/parked", None, **matching)]

    def unreadable(self) -> list[UnreadableMessage]:
        """The parked messages that Usher cannot read, at most 100."""
        answer = json_of(self._ask("successes", "GET", "/api/parked/unreadable"))
        return [read(UnreadableMessage, item) for item in answer["items"]]

    def order_parked(
        self,
        what: Literal["retry", "drop"],
        server: str | None,
        issues: Iterable[str],
        *,
        everything: bool = False,
        reason: str = "",
    ) -> OrderState:
        """Order that parked messages are queued again or dropped: all, or those of a server, of issues, or of both.

        Raises NotFound if there is no such server.
        """
        return self._order(what, server=server, issues=list(issues), all=everything, reason=reason)

    def retry(self, deploy: str, *, reason: str = "") -> OrderState:
        """Order that the messages of a failed deploy are queued again, unless they passed since. Raises NotFound."""
        return self._order("retry", deploy=deploy, reason=reason)

    def abort_gone(self, deploy: str, *, reason: str = "") -> OrderState:
        """Order that the command of a stuck deploy counts as ended. Raises NotFound if that deploy is not stuck."""
        return self._order("abort", deploy=deploy, gone=True, reason=reason)

    def hold(self, scope: str, *, reason: str, until: datetime | None = None, warning: bool = False) -> OrderState:
        """Hold the servers in a scope, such as `beta of ABC`, until a time, or until the hold is released."""
        ends = None if until is None else until.isoformat()
        return self._order("hold", scope=scope, reason=reason, until=ends, warning=warning)

    def release(self, *, hold: str | None = None, scope: str | None = None, reason: str = "") -> OrderState:
        """Release the hold with that id, or all holds with exactly that scope. Raises NotFound if there is none."""
        return self._order("release", hold=hold, scope=scope, reason=reason)

    def holds(self) -> list[Hold]:
        """The holds that stand, oldest first."""
        return [read(Hold, item) for item in self._ask("successes", "GET", "/api/holds").json()]

    def orders(self, limit: int = PER_PAGE, **matching: str) -> list[OrderState]:
        """At most `limit` orders, newest first. Filters in `matching`: issue, server, by."""
        return [read(OrderState, item) for item in self._pages("/api/orders", limit, **matching)]

    def order(self, order: str) -> OrderState:
        """One order, by its id. Raises NotFound."""
        return read(OrderState, json_of(self._ask("successes", "GET", f"/api/orders/{quote(order, safe='')}")))

    def ready(self, service: str) -> str | None:
        """Why that service cannot do its work, in a sentence; None if it can."""
        try:
            self._ask(service, "GET", "/ready")
        except ServiceError as fault:
            return str(fault)
        return None

    def health(self, service: str) -> Health:
        """Whether that service answers, and since when it has been running."""
        return read(Health, json_of(self._ask(service, "GET", "/health")))

    def _order(self, what: str, **facts: Any) -> OrderState:
        """Send an order, and wait until it has been carried out.

        If the answer is lost or says `requested`, the order is sent again with the same id, which is safe. Only an
        error of the first request means that there is no such order.
        """
        order = secrets.token_hex(16)
        body = {"id": order, "by": who(), **{name: fact for name, fact in facts.items() if fact}}
        state: OrderState | None = None
        fault = ""
        for _ in range(ORDER_ASKS):
            try:
                state = read(OrderState, json_of(self._ask("successes", "POST", f"/api/orders/{what}", json=body)))
            except NoAnswer as none:
                fault = str(none)
            except ServiceError:
                if not (state or fault):  # else an earlier request may have given the order
                    raise
            if state and state.state != "requested":
                break
        if state is None:
            raise NoAnswer(why=f"{fault}; the order may still be carried out: check with `usher orders {order}`")
        return state

    def _pages(self, path: str, limit: int | None = None, **matching: str) -> Iterator[dict[str, Any]]:
        """The items of all pages, or the first `limit` of them."""
        size = min(limit or PER_PAGE, PER_PAGE)
        page, left = 1, limit
        while True:
            answer = json_of(self._ask("successes", "GET", path, params={**matching, "page": page, "per_page": size}))
            items = answer["items"] if left is None else answer["items"][:left]
            yield from items
            left = None if left is None else left - len(items)
            if page >= answer["pages"] or left == 0:
                return
            page += 1

    def _ask(self, service: str, method: str, path: str, **more: Any) -> httpx.Response:
        base = base_url(getattr(self._settings, service))
        try:
            answer = self._http.request(method, base + path, **more)
        except httpx.TimeoutException:
            raise NoAnswer(why=f"{service} at {base} did not answer within {SECONDS:.0f} s; see its log") from None
        except (httpx.ReadError, httpx.RemoteProtocolError):
            raise NoAnswer(why=f"{service} at {base} closed the connection without an answer; see its log") from None
        except httpx.HTTPError:
            raise ServiceError(why=f"nothing answers at {base} ({service}); start it with `usher up`") from None
        if answer.is_success:
            return answer
        kind = NotFound if answer.status_code == httpx.codes.NOT_FOUND else ServiceError
        raise kind(
            why=fault_of(answer) or f"{service} at {base} answered {path} with {answer.status_code}; see its log"
        )
