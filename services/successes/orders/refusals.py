"""Why an order left an issue as it is, in words: from the board, else from the ledger."""

from collections.abc import Iterator, Sequence

from successes.ledger.ledger import Ledger
from successes.ledger.queries import Cut, find_messages
from successes.web.views import time
from usher.api.types import LeftMessage, MessageState, rfc3339
from usher.core.board.board import Board
from usher.core.board.server import ServerBoard
from usher.core.issues import Issue
from usher.core.states import State

NOTHING = "nothing of it is parked"


class Refusals:
    """The reasons on these servers, which are all that an order was about."""

    def __init__(self, ledger: Ledger, board: Board, servers: Sequence[str]) -> None:
        self._ledger = ledger
        self._board = board
        self._servers = servers

    def of(self, issue: Issue) -> list[LeftMessage]:
        """Why, per server on which the issue is known; of one that is nowhere known, on each server. Raises
        LedgerFault."""
        found = {server: self._why(server, issue) for server in self._servers}
        known = {server: why for server, why in found.items() if why}
        return [LeftMessage(issue=issue, server=s, why=why or NOTHING) for s, why in (known or found).items()]

    def _why(self, server: str, issue: Issue) -> str | None:
        now = next(_now(self._board.server(server), issue), None)
        if now:
            return now
        with self._ledger.reading() as connection:
            newest = find_messages(connection, {"server": server, "issue": str(issue)}, Cut(1, 1)).items
        return _became(newest[0]) if newest else None


def _now(server: ServerBoard, issue: Issue) -> Iterator[str]:
    for found in server.messages():
        if found.message.issue == issue:
            match found.state:
                case State.DEPLOYING:
                    yield f"is being deployed by deploy {found.deploy}"
                case State.WAITING:
                    yield "waits already"
                case State.RETRYING:
                    yield f"is tried again at {rfc3339(time(found.message.queued_at))}"
                case _:
                    yield f"failed in deploy {found.deploy}"


def _became(newest: MessageState) -> str:
    by = f" by {newest.by}" if newest.by else ""
    match newest.state:
        case "deployed":
            return f"was deployed by deploy {newest.deploy}"
        case "superseded":
            return f"is superseded, see deploy {newest.deploy}"
        case "withdrawn":
            return f"was withdrawn{by}"
        case _:
            return NOTHING
