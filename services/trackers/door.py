"""The door: requests become messages that the broker has confirmed, or answers that tell the sender what to do."""

import logging
import secrets
from collections.abc import Iterable, Mapping
from typing import Literal

from pydantic import BaseModel

from trackers.front import read_front
from trackers.jira import webhook as jira
from trackers.jira.bodies import Unparsable
from trackers.jira.changes import Renamed
from trackers.jira.signature import HEADER, check_recent, check_signature
from trackers.withdrawals import read_withdrawal
from usher.api.orders import OrderState
from usher.broker.publisher import Publisher
from usher.core.board.ordered import Ordered
from usher.core.errors import BrokerError
from usher.core.ignored import IgnoredMove
from usher.core.issues import Issue
from usher.core.messages import BackMessage, derived_id
from usher.core.orders import OrderId, WithdrawOrder
from usher.runtime.clock import Clock
from usher.settings import Settings
from usher.web.readiness import unconfirmed

log = logging.getLogger(__name__)


class AcceptedMessage(BaseModel):
    """A message of an accepted webhook."""

    id: str
    issue: Issue
    status: str
    server: str


class Accepted(BaseModel):
    """The broker has confirmed these messages, and the order that withdraws an issue under its former key."""

    outcome: Literal["accepted"] = "accepted"
    messages: tuple[AcceptedMessage, ...] = ()
    order: OrderId | None = None


class Ignored(BaseModel):
    """The webhook was understood, and there is nothing to deploy."""

    outcome: Literal["ignored"] = "ignored"
    reason: str


class Door:
    """Accepts requests while `publisher` is set, that is, while there is a connection to the broker."""

    def __init__(self, settings: Settings, clock: Clock) -> None:
        self.publisher: Publisher | None = None
        self._servers = settings.catalogue
        self._secret = settings.jira.secret
        self._clock = clock
        self._unchecked = False

    async def unready(self) -> str | None:
        """Why nothing can be accepted now; None if requests can be accepted."""
        return await unconfirmed(self.publisher)

    async def webhook(self, headers: Mapping[str, str], body: bytes) -> Accepted | Ignored:
        """Handle a webhook of Jira's. Raises Unauthentic, Unparsable, or BrokerError if the broker does not confirm."""
        if self._secret is not None:
            check_signature(self._secret, headers, body)
        elif HEADER in headers and not self._unchecked:
            self._unchecked = True
            log.warning("webhooks are signed, but their signatures are not checked: set [jira] secret to their secret")
        reading = jira.read(headers, body, self._servers)
        if isinstance(reading, jira.NotJson):
            raise Unparsable(why=reading.reason)
        if self._secret is not None:
            check_recent(reading.sent_at, self._clock.now())
        order = await self._withdraw_former(reading.renamed) if reading.renamed else None
        match reading:
            case jira.Moved():
                messages = [await self._move(move) for move in reading.moves]
                return Accepted(messages=tuple(messages), order=order)
            case jira.IgnoredMove():
                await self._ignore(reading)
        return Accepted(order=order) if order else Ignored(reason=reading.reason)

    async def message(self, body: bytes, address: str) -> BackMessage:
        """Handle a front-end message from that address. Raises BadMessage, or BrokerError if the broker does not
        confirm."""
        front = read_front(body, self._servers)
        server = self._servers.find(front.issue_id.project, front.status)
        message = BackMessage.of(
            front.issue_id, server, source="api", now=self._clock.now(), moved_by=front.by or address
        )
        await self._publish(message)
        return message

    async def withdraw(self, query: Iterable[tuple[str, str]], length: int, address: str) -> OrderState:
        """Publish an order to withdraw issues, which `successes` will carry out.

        The order is a query of `length` bytes from that address. Raises BadMessage or UnknownServer, or BrokerError if
        the broker does not confirm.
        """
        order = read_withdrawal(query, length, self._servers, address, self._clock.now())
        try:
            await self._connected().order(order)
        except BrokerError as fault:
            raise BrokerError(why=f"{fault}; it is safe to send it again with the same id: {order.id}") from None
        log.info("accepted order %s of %s: withdraw %d issues", order.id, order.by, len(order.issues))
        return OrderState.of(Ordered(order))

    async def _move(self, move: jira.Move) -> AcceptedMessage:
        message = BackMessage.of(
            move.issue,
            move.server,
            source="jira",
            now=self._clock.now(),
            identity=move.identity,
            moved_at=move.moved_at,
            moved_by=move.by.name,
            moved_by_id=move.by.id,
        )
        await self._publish(message)
        return AcceptedMessage(id=message.id, issue=message.issue, status=message.status, server=message.server)

    async def _publish(self, message: BackMessage) -> None:
        await self._connected().message(message)
        log.info("accepted %s: %s for %s, from %s", message.id, message.issue, message.server, message.source)

    def _connected(self) -> Publisher:
        if self.publisher is None:
            raise BrokerError(why="no connection to the broker; Usher reconnects by itself, so send it again soon")
        return self.publisher

    async def _withdraw_former(self, change: Renamed) -> OrderId | None:
        """Order that an issue is withdrawn under its former key, which no command could deploy any more."""
        servers = [server.name for server in self._servers if server.project == change.former.project.lower()]
        if not servers:
            return None
        order = WithdrawOrder(
            id=derived_id(*change.identity, "withdraw") if change.identity else secrets.token_hex(16),
            by=change.by.name or "jira",
            reason=f"{change.former} is now {change.key}",
            at=self._clock.now(),
            servers=tuple(servers),
            issues=(change.former,),
        )
        await self._connected().order(order)
        log.info("ordered to withdraw %s: it is now %s", change.former, change.key)
        return order.id

    async def _ignore(self, move: jira.IgnoredMove) -> None:
        """Log the move, and have it recorded. It is still answered if the broker does not confirm."""
        log.info("ignored %s to %s: %s", move.issue, move.status, move.reason)
        ignored = IgnoredMove(
            id=derived_id(*move.identity, "ignored") if move.identity else secrets.token_hex(16),
            at=self._clock.now(),
            issue=move.issue,
            status=move.status,
            reason=move.reason,
            accept=move.accept,
            moved_by=move.by.name,
        )
        try:
            await self._connected().ignored(ignored)
        except BrokerError as fault:
            log.warning("the ignored move is not recorded: %s", fault)
