"""Withdrawals: an order to take issues out of what waits, and what came of it. What runs is left to run."""

import asyncio
import logging
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from usher.api.types import RunningIssue, Withdrawal, WithdrawnMessage
from usher.broker.journal import Journal
from usher.core.board.server import ServerBoard
from usher.core.errors import BadMessage, BrokerError
from usher.core.events import MessagesWithdrawn
from usher.core.issues import Issue
from usher.core.messages import BackMessage
from usher.core.servers import Server, Servers
from usher.core.states import State
from usher.runtime.clock import Clock

log = logging.getLogger(__name__)

SECONDS = 10.0
MOST_ISSUES = 1000
LONGEST_BY = 100
_LONGEST_QUERY = 64 * 1024
_KNOWN = ("server", "issue", "by")
_EXAMPLE = "DELETE /messages?server=beta.abc.wwts.com&issue=ABC-111&issue=ABC-113"


@dataclass(frozen=True, slots=True)
class Order:
    """These issues are not to be deployed to these servers; `by` is who says so."""

    servers: tuple[Server, ...]
    issues: tuple[Issue, ...]
    by: str


def read_order(query: Iterable[tuple[str, str]], length: int, servers: Servers, address: str) -> Order:
    """The order in a query of so many bytes, which came from that address. Raises BadMessage or UnknownServer."""
    if length > _LONGEST_QUERY:
        raise BadMessage(why=f"a query is at most {_LONGEST_QUERY} bytes long; withdraw the issues in several orders")
    given: dict[str, list[str]] = {key: [] for key in _KNOWN}
    for key, value in query:
        if key not in given:
            raise BadMessage(why=f"{ascii(key)[1:-1][:60]} is unknown; known are server, issue and by, like {_EXAMPLE}")
        given[key].append(value)
    for key in ("server", "by"):
        if len(given[key]) > 1:
            raise BadMessage(why=f"name one {key} at the most")
    if not given["issue"]:
        raise BadMessage(why=f"issue is missing; name at least one, like {_EXAMPLE}")
    if len(given["issue"]) > MOST_ISSUES:
        raise BadMessage(why=f"at most {MOST_ISSUES} issues in one order; withdraw them in several")
    meant = tuple(map(servers.named, given["server"])) or tuple(servers)
    return Order(meant, tuple(dict.fromkeys(map(Issue.parse, given["issue"]))), _by(given["by"], address))


def _by(given: list[str], address: str) -> str:
    by = "".join(given).strip() or address
    if len(by) > LONGEST_BY or not by.isprintable():
        raise BadMessage(why=f"by should be a name of at most {LONGEST_BY} printable characters")
    return by


class Withdrawals:
    """Carries orders out while `journal` is set, which is as long as it is caught up with."""

    def __init__(self, clock: Clock) -> None:
        self.journal: Journal | None = None
        self._clock = clock

    async def carry_out(self, order: Order) -> Withdrawal:
        """Withdraw what waits by now, and say what that changed. Raises BrokerError if it may not have been done."""
        if self.journal is None:
            raise BrokerError(why="the journal is not read to its end yet; Usher goes on by itself, so ask again soon")
        try:
            async with asyncio.timeout(SECONDS):
                return await self._carry_out(order, self.journal)
        except TimeoutError:
            why = f"the journal brought no answer in {SECONDS:.0f} s"
        except BrokerError as fault:
            why = str(fault)
        raise BrokerError(why=f"nothing is withdrawn for sure ({why}); ask again soon: what is withdrawn stays so")

    async def _carry_out(self, order: Order, journal: Journal) -> Withdrawal:
        await journal.barrier()
        # all of it is chosen before any of it is told: what comes later is not meant
        meant = {server.name: _meant(journal.board.server(server.name), order.issues) for server in order.servers}
        withdrawn: list[WithdrawnMessage] = []
        running: list[RunningIssue] = []
        for server, messages in meant.items():
            deploys = _deploys(journal.board.server(server))
            gone = await self._tell(journal, server, messages, order.by)
            deploys |= _deploys(journal.board.server(server))
            withdrawn += [WithdrawnMessage(id=m.id, issue=m.issue, server=server) for m in messages if m.id in gone]
            left = {m.issue: deploys[m.id] for m in messages if m.id in deploys and m.id not in gone}
            running += [RunningIssue(issue=issue, server=server, deploy=deploy) for issue, deploy in left.items()]
        found = {*(message.issue for message in withdrawn), *(entry.issue for entry in running)}
        nothing = tuple(issue for issue in order.issues if issue not in found)
        return Withdrawal(withdrawn=tuple(withdrawn), running=tuple(running), nothing=nothing)

    async def _tell(self, journal: Journal, server: str, messages: list[BackMessage], by: str) -> set[str]:
        """Tell of those that are not withdrawn yet, if any; gives the ids of those that are now, by this event."""
        noted = {m for m, entry in journal.board.server(server).open.items() if entry.withdrawn}
        ids = tuple(message.id for message in messages if message.id not in noted)
        if not ids:
            return set()
        changes = await journal.append(MessagesWithdrawn(server=server, messages=ids, by=by, at=self._clock.now()))
        log.info("%s withdrew %d of %d messages from %s", by, len(changes), len(ids), server)
        return {change.message for change in changes if change.state is State.WITHDRAWN}


def _meant(server: ServerBoard, issues: Collection[Issue]) -> list[BackMessage]:
    """The messages of these issues that wait, are being deployed, have just failed, or are to be tried again."""
    wanted = set(issues)
    return [m.message for m in server.messages() if m.state is not State.PARKED and m.message.issue in wanted]


def _deploys(server: ServerBoard) -> dict[str, str]:
    """The messages that the running deploy covers, each with that deploy."""
    return {m.id: server.running.event.deploy for m in server.running.batch} if server.running else {}
