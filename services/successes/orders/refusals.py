"""Why an order left an issue as it is, in words: from the board, else from the ledger."""

import asyncio
import logging
from collections.abc import Iterator, Sequence

from successes.ledger.ledger import Ledger, LedgerFault
from successes.ledger.queries import Cut, find_messages
from usher.api.types import MessageState, rfc3339, time
from usher.core.board.board import Board
from usher.core.board.entries import Unsettled
from usher.core.board.orders import Ordered
from usher.core.board.server import ServerBoard
from usher.core.errors import UnknownServer
from usher.core.issues import Issue
from usher.core.orders import MAX_LEFT, LeftIssue, WithdrawOrder
from usher.core.servers import Servers
from usher.core.states import State

log = logging.getLogger(__name__)

LEDGER_SECONDS = 3.0
"""Seconds that the ledger has for its answer."""

UNREACHABLE = "; the ledger cannot be read now, so what became of it is not known"

Place = tuple[str, Issue]


class Refusals:
    """Looks for the reasons why issues that an order names were left."""

    def __init__(self, ledger: Ledger, servers: Servers) -> None:
        self._ledger = ledger
        self._servers = servers

    async def of(self, entry: Ordered, board: Board) -> tuple[LeftIssue, ...]:
        """Why, per server on which an issue is known; for one that is known nowhere, on each server; at most MAX_LEFT.

        A ledger that cannot be read is said in the sentence.
        """
        found = {message.issue for message in (*entry.changed.values(), *entry.running.values())}
        missing = [issue for issue in entry.order.issues if issue not in found]
        places = [(server, issue) for issue in missing for server in self._deploying(issue, entry)][:MAX_LEFT]
        reasons = dict(_on_board(places, board))
        asked = [place for place in places if place not in reasons]
        nothing = "nothing of it is pending" if isinstance(entry.order, WithdrawOrder) else "nothing of it is parked"
        try:
            async with asyncio.timeout(LEDGER_SECONDS):
                newest = await asyncio.to_thread(self._newest, asked)
        except (LedgerFault, TimeoutError) as fault:
            log.warning("an order's reasons are incomplete: %s", fault or "the ledger gives no answer")
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
            except UnknownServer:  # the settings have it no longer
                project = issue.project.lower()
            if project == issue.project.lower():
                yield name

    def _newest(self, places: Sequence[Place]) -> dict[Place, MessageState]:
        """The newest message of each, if the ledger has one."""
        with self._ledger.reading() as connection:
            found = {
                (server, issue): find_messages(connection, {"server": server, "issue": str(issue)}, Cut(1, 1)).items
                for server, issue in places
            }
        return {place: newest[0] for place, newest in found.items() if newest}


def _on_board(places: Sequence[Place], board: Board) -> Iterator[tuple[Place, str]]:
    wanted = set(places)
    for server in {server for server, _ in places}:
        # the first of an issue's messages says it
        for known in reversed([*board.servers.get(server, ServerBoard()).messages()]):
            if (place := (server, known.message.issue)) in wanted:
                yield place, _is(known)


def _is(known: Unsettled) -> str:
    match known.state:
        case State.DEPLOYING:
            return f"is being deployed by deploy {known.deploy}"
        case State.WAITING:
            return "waits already"
        case State.RETRYING:
            return f"is tried again at {rfc3339(time(known.message.queued_at))}"
        case State.PARKED:
            return f"is parked since deploy {known.deploy}"
        case _:
            return f"failed in deploy {known.deploy}"


def _became(newest: MessageState, board: Board) -> str | None:
    """What became of a message; the board may know more than the ledger by now."""
    state = board.state(newest.id) or newest.state
    same = state == newest.state
    match state:
        case State.DEPLOYED:
            return f"was deployed by deploy {newest.deploy}" if same else "was deployed"
        case State.SUPERSEDED:
            return f"is superseded, see deploy {newest.deploy}" if same else "is superseded"
        case State.WITHDRAWN:
            return f"was withdrawn by {newest.by}" if same and newest.by else "was withdrawn"
        case _:
            return None
