"""Reads the moves that a past deploy covered. Only the ledger knows them."""

from successes.ledger.ledger import Ledger
from successes.ledger.queries import find_covered, find_deploy
from usher.core.board.board import Board
from usher.core.errors import UsherError
from usher.core.events import Outcome
from usher.core.issues import Issue


class UnknownDeploy(UsherError):
    """no deploy {deploy} is known; /api/deploys lists them"""


class NothingToRetry(UsherError):
    """deploy {deploy} has nothing to retry: {why}"""


def read_covered(ledger: Ledger, deploy: str) -> tuple[str, dict[str, Issue]]:
    """The server of a deploy that did not pass, and the moves that it covered, each with its issue.

    Raises UnknownDeploy, NothingToRetry or LedgerFault.
    """
    with ledger.reading() as connection:
        found = find_deploy(connection, deploy, rehearses=False)
        if found is None:
            raise UnknownDeploy(deploy=ascii(deploy)[:40])
        if found.outcome == Outcome.PASSED:
            raise NothingToRetry(deploy=deploy, why="it passed")
        return found.server, find_covered(connection, deploy)


def refuse_running(board: Board, server: str, deploy: str) -> None:
    """Raise NothingToRetry if that deploy is still running."""
    running = board.servers[server].running if server in board.servers else None
    if running and running.event.deploy == deploy:
        raise NothingToRetry(deploy=deploy, why="it is still running")
