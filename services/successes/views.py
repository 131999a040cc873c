"""What a server looks like now: from its board and the settings, by pure functions."""

from datetime import UTC, datetime

from usher.answers import Last, Running, ServerState
from usher.batches import Batch, choose
from usher.server_board import Ended, ServerBoard, Taking
from usher.servers import Server
from usher.settings import Settings

_LATEST = 253_402_300_799_999


def time(millis: int) -> datetime:
    """Milliseconds since 1970 as a time; what is past the year 9999 is its end."""
    return datetime.fromtimestamp(min(millis, _LATEST) // 1000, UTC).replace(microsecond=millis % 1000 * 1000)


def server_state(server: Server, board: ServerBoard, settings: Settings) -> ServerState:
    """That server now; `command` is what would run if its turn came now."""
    waiting, arrivals = board.waiting, board.arrivals
    command = None
    if waiting:
        chosen = Batch.of(choose(waiting[0], waiting, settings.deploys.most))
        command = settings.deploys.template.render(server, chosen.issues)
    return ServerState(
        server=server.name,
        project=server.project,
        status=server.status,
        state="deploying" if board.running else "waiting" if waiting else "idle",
        waiting=Batch.of(waiting).issues,
        waiting_messages=len(waiting),
        command=command,
        rehearsed=settings.deploys.rehearses,
        window_opened_at=time(min(arrivals)) if arrivals else None,
        window_closes_at=time(settings.window.window().closes_at(arrivals)) if arrivals else None,
        running=_running(board.running) if board.running else None,
        last=_last(board.last) if board.last else None,
    )


def _running(taking: Taking) -> Running:
    return Running(
        deploy=taking.event.deploy,
        issues=Batch.of(taking.batch).issues,
        holder=taking.event.holder,
        since=time(taking.event.taken_at),
    )


def _last(ended: Ended) -> Last:
    return Last(deploy=ended.deploy, outcome=ended.outcome, ended_at=time(ended.at), rehearsed=ended.rehearsed)
