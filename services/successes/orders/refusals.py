"""Why an order did not change an issue, in words: from the board, or else from the ledger."""

import asyncio
import logging
from collections.abc import Iterator, Sequence

from successes.ledger.ledger import Ledger, LedgerFault
from successes.ledger.queries import PageRequest, find_messages
from usher.api.types import MessageState, rfc3339, time
from usher.core.board.board import Board
from usher.core.board.entries import Unsettled
from usher.core.board.ordered import Ordered
from usher.core.board.server import ServerBoard
from usher.core.errors import UnknownServer
from usher.core.issues import Issue
from usher.core.orders import MAX_LEFT, LeftIssue, WithdrawOrder
from usher.core.servers import Servers
from usher.core.states import State

log = logging.getLogger(__name__)

LEDGER_SECONDS = 3.0
"""How long to wait for the ledger's answer."""

UNREACHABLE = "; the ledger cannot be read now, so what happened to it is unknown"

Place = tuple[str, Issue]


class Refusals:
    """Finds out why an order did not change the issues that it names."""

    def __init__(self, ledger: Ledger, servers: Servers) -> None:
        self._ledger = ledger
        self._servers = servers

    async def of(self, entry: Ordered, board: Board) -> tuple[LeftIssue, ...]:
        """The reasons, for each unchanged issue and each server that knows it. At most MAX_LEFT.

        An issue that no server knows is listed with each of its servers. The reason says if the ledger cannot be read.
        """
        found = {message.issue for message in (*entry.changed.values(), *entry.running.values())}
        missing = [issue for issue in entry.order.issues if issue not in found]
        places = [(server, issue) for issue in missing for server in self._deploying(issue, entry)][:MAX_LEFT]
        reasons = dict(_on_board(places, board))
        asked = [place for place in places if place not in reasons]
        nothing = "it is not pending" if isinstance(entry.order, WithdrawOrder) else "it is not parked"
        try:
            async with asyncio.timeout(LEDGER_SECONDS):
                newest = await asyncio.to_thread(self._newest, asked)
        except (LedgerFault, TimeoutError) as fault:
            log.warning("an order's reasons are incomplete: %s", fault or "the ledger does not answer")
            newest, nothing = {}, nothing + UNREACHABLE
        reasons |= {place: why for place, message in newest.items() if (why := _became(message, board))}
        known = {issue for _, issue in reasons}
        shown = [place for place in places if place in reasons or place[1] not in known]
        return tuple(LeftIssue(issue=i, server=s, why=reasons.get((s, i), nothing)) for s, i in shown)

    def _deploying(self, issue: Issue, entry: Ordered) -> Iterator[str]:
        """The order's servers to which that issue may be deployed."""
        for name in entry.order.servers:
            try:
                project = self._servers.named(name).project
            except UnknownServer:  # the settings no longer contain it
                project = issue.project.lower()
            if project == issue.project.lower():
                yield name

    def _newest(self, places: Sequence[Place]) -> dict[Place, MessageState]:
        """The newest message for each place, if the ledger has one. Without places it is not asked."""
        if not places:
            return {}
        with self._ledger.reading() as connection:
            found = {
                (server, issue): find_messages(
                    connection, {"server": server, "issue": str(issue)}, PageRequest(1, 1)
                ).items
                for server, issue in places
            }
        return {place: newest[0] for place, newest in found.items() if newest}


def _on_board(places: Sequence[Place], board: Board) -> Iterator[tuple[Place, str]]:
    wanted = set(places)
    for server in {server for server, _ in places}:
        # the first of an issue's messages decides
        for known in reversed([*board.servers.get(server, ServerBoard()).messages()]):
            if (place := (server, known.message.issue)) in wanted:
                yield place, _is(known)


def _is(known: Unsettled) -> str:
    match known.state:
        case State.DEPLOYING:
            return f"it is being deployed by deploy {known.deploy}"
        case State.WAITING:
            return "it is already waiting"
        case State.RETRYING:
            return f"it will be retried at {rfc3339(time(known.message.queued_at))}"
        case State.PARKED:
            return f"it was parked after deploy {known.deploy}"
        case _:
            return f"it failed in deploy {known.deploy}"


def _became(newest: MessageState, board: Board) -> str | None:
    """The terminal state of a message, in words. The board may already know more than the ledger."""
    state = board.state(newest.id) or newest.state
    same = state == newest.state
    match state:
        case State.DEPLOYED:
            return f"it was deployed by deploy {newest.deploy}" if same else "it was deployed"
        case State.SUPERSEDED:
            return f"it is superseded, see deploy {newest.deploy}" if same else "it is superseded"
        case State.WITHDRAWN:
            return f"it was withdrawn by {newest.by}" if same and newest.by else "it was withdrawn"
        case _:
            return None
