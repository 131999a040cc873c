"""Pure functions that compute the API's view of servers and parked messages."""

from collections.abc import Iterable
from datetime import datetime

from successes.web.situation import situation
from usher.api.types import Hold, Last, MessageState, ParkedMessage, Running, ServerState, time
from usher.core.batches import Batch, choose
from usher.core.board.board import Board
from usher.core.board.entries import Ended, Failed, Taking
from usher.core.board.server import ServerBoard
from usher.core.orders import HoldOrder
from usher.core.servers import Server
from usher.core.states import State
from usher.settings import Settings


def server_states(servers: Iterable[Server], every: Board, settings: Settings, now: int) -> list[ServerState]:
    """The states of these servers at `now` (ms), from the board of all servers and the settings."""
    running = sum(1 for name in every if every.server(name).running)
    holds = every.orders.holds
    return [
        _server_state(server, every.server(server.name), holds.on(server.routing_key), settings, running, now)
        for server in servers
    ]


def _server_state(
    server: Server, board: ServerBoard, holds: tuple[HoldOrder, ...], settings: Settings, running: int, now: int
) -> ServerState:
    """The state of a server. `command` is what would run if its turn came now."""
    waiting, arrivals, window = board.waiting, board.pending.arrivals, settings.window.window()
    closes_at = window.closes_at(arrivals, board.pending.due) if waiting else None
    is_so = situation(board, holds, settings, running, now)
    command = None
    if deployable := [message for message in waiting if message.issue.project.lower() == server.project]:
        chosen = Batch.of(choose(deployable[0], deployable, settings.deploys.max_issues))
        command = settings.deploys.template.render(server, chosen.issues)
    return ServerState(
        server=server.name,
        project=server.project,
        status=server.status,
        state=is_so.state,
        reason=is_so.reason,
        since=_time(is_so.since),
        next_change=_time(is_so.next_change),
        next_reason=is_so.next_reason,
        waiting=Batch.of(waiting).issues,
        waiting_messages=len(waiting),
        command=command,
        rehearsed=settings.deploys.rehearses,
        window_opened_at=time(min(arrivals)) if arrivals else None,
        window_closes_at=time(closes_at) if closes_at else None,
        window_limit_at=time(min(arrivals) + window.cap) if arrivals else None,
        running=_running(board.running) if board.running else None,
        last=_last(board.last) if board.last else None,
        retrying=tuple(sorted({message.issue for message in board.retrying.values()})),
        retried_at=time(min(m.queued_at for m in board.retrying.values())) if board.retrying else None,
        parked=tuple(sorted({entry.message.issue for entry in board.parked})),
        by=is_so.by,
        holds=tuple(Hold.of(hold) for hold in holds),
    )


def parked_message(failed: Failed, received: int, known: MessageState | None) -> ParkedMessage:
    """A parked message, from the ledger if it has the message (`known`), or else from the board."""
    message, age = failed.message, time(failed.message.queued_at)
    facts = {
        **{name: getattr(message, name) for name in ("id", "issue", "status", "server", "source", "attempt")},
        "project": message.issue.project.lower(),
        "queued_at": age,
        "moved_at": None if message.moved_at is None else time(message.moved_at),
        "changed_at": age,
        "received": received,
        "origin": message.move,
        **(known.model_dump() if known else {}),
        "state": State.PARKED,
        "deploy": failed.deploy,
        "outcome": failed.outcome,
        "exit_code": failed.exit_code,
        "reason": failed.reason,
    }
    return ParkedMessage.model_validate(facts)


def _time(millis: int | None) -> datetime | None:
    return None if millis is None else time(millis)


def _running(taking: Taking) -> Running:
    return Running(
        deploy=taking.event.deploy,
        issues=Batch.of(taking.batch).issues,
        holder=taking.event.holder,
        since=time(taking.event.taken_at),
    )


def _last(ended: Ended) -> Last:
    return Last(deploy=ended.deploy, outcome=ended.outcome, ended_at=time(ended.at), rehearsed=ended.rehearsed)
