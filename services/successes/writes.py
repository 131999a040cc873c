"""What is written into the ledger.

Every write is idempotent: the reply queue and the journal may tell the same thing, twice, in either order, and a replay
of the whole journal changes nothing.
"""

from dataclasses import dataclass, field

from sqlalchemy import ColumnElement, Connection, Table, bindparam, func, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite

from successes.order import BEFORE
from successes.schema import covers, deploys, messages
from usher.events import DeployEnded, DeployInterrupted, DeployTaken, MessagesParked, MessagesRetried, Outcome
from usher.messages import BackMessage
from usher.states import OPEN, State

Row = dict[str, object]


@dataclass(frozen=True, slots=True)
class Moved:
    """A message came into a state at `at` (ms): by a deploy, by somebody's order, or by neither."""

    state: State
    deploy: str | None
    at: int
    by: str | None = None


@dataclass(slots=True)
class News:
    """What is to be written in one transaction. `told` says how often each message was told so far; of all the states
    that a message came into, `moved` needs to have the last one."""

    told: dict[str, tuple[BackMessage, int]] = field(default_factory=dict)
    taken: list[tuple[DeployTaken, tuple[str, ...]]] = field(default_factory=list)
    moved: dict[str, Moved] = field(default_factory=dict)
    interrupted: list[DeployInterrupted] = field(default_factory=list)
    ended: list[DeployEnded] = field(default_factory=list)
    parked: list[MessagesParked] = field(default_factory=list)
    retried: list[MessagesRetried] = field(default_factory=list)

    def __bool__(self) -> bool:
        return any((self.told, self.taken, self.moved, self.interrupted, self.ended, self.parked, self.retried))


def write(connection: Connection, news: News) -> None:
    """Write it. Messages come first, so that there are rows to change; then what opens them, then what closes them."""
    _tell(connection, [_retrying(retry.next, event) for event in news.retried for retry in event.retries])
    _tell(connection, [_message(message, told) for message, told in news.told.values()])
    covered = (message for ended in news.ended for message in ended.standing if message.id not in news.told)
    _tell(connection, [_message(message, 1) for message in covered])
    _cover(connection, news)
    _take(connection, news.taken)
    _interrupt(connection, news.interrupted)
    _end(connection, news.ended)
    _park(connection, news.parked)
    for state, rows in _moves(news).items():
        _move(connection, state, rows)


def insert(connection: Connection, table: Table) -> sqlite.Insert | postgresql.Insert:
    """An INSERT that can say what happens ON CONFLICT, which is no standard SQL but the same for both databases."""
    return postgresql.insert(table) if connection.dialect.name == "postgresql" else sqlite.insert(table)


def states(connection: Connection, deploy: str) -> dict[str, State]:
    """Where the messages that this deploy covers are now."""
    query = (
        select(messages.c.id, messages.c.state)
        .join(covers, covers.c.message == messages.c.id)
        .where(covers.c.deploy == deploy)
    )
    return {row.id: State(row.state) for row in connection.execute(query)}


def _message(message: BackMessage, told: int) -> Row:
    return {
        "id": message.id,
        "issue": str(message.issue),
        "project": message.issue.project.lower(),
        "status": message.status,
        "server": message.server,
        "state": State.WAITING,
        "source": message.source,
        "attempt": message.attempt,
        "queued_at": message.queued_at,
        "moved_at": message.moved_at,
        "changed_at": message.queued_at,
        "told": told,
        "origin": message.move,
        "due_at": message.queued_at if message.origin else None,
        "by": None,
    }


def _retrying(message: BackMessage, event: MessagesRetried) -> Row:
    return {**_message(message, 1), "state": State.RETRYING, "changed_at": event.at, "by": event.by}


def _tell(connection: Connection, rows: list[Row]) -> None:
    if not rows:
        return
    new = insert(connection, messages)
    told = {"told": new.excluded.told}
    connection.execute(
        new.on_conflict_do_update(index_elements=["id"], set_=told, where=new.excluded.told > messages.c.told),
        rows,
    )


def _may_become(state: State) -> ColumnElement[bool]:
    # not IN: it cannot be used with many rows at once
    return or_(*(messages.c.state == before for before in sorted(BEFORE[state])))


def _moved(message: str, deploy: str | None, at: int, order: str | None = None) -> Row:
    return {"message": message, "with": deploy, "at": at, "order": order}


def _moves(news: News) -> dict[State, list[Row]]:
    """In an order in which none keeps another from being written."""
    rows: dict[State, list[Row]] = {state: [] for state in State}
    for event in news.retried:
        rows[State.RETRIED] += [_moved(retry.failed, event.deploy, event.at, event.by) for retry in event.retries]
    for message, moved in news.moved.items():
        rows[moved.state].append(_moved(message, moved.deploy, moved.at, moved.by))
    return rows


def _move(connection: Connection, state: State, rows: list[Row]) -> None:
    if not rows:
        return
    deploy: ColumnElement[str | None] = bindparam("with", type_=messages.c.deploy.type)
    if state not in OPEN:
        # an order is by no deploy, and the one that failed stays worth knowing
        deploy = func.coalesce(deploy, messages.c.deploy)
    connection.execute(
        update(messages)
        .where(messages.c.id == bindparam("message"), _may_become(state))
        .values(state=state, deploy=deploy, changed_at=bindparam("at"), by=bindparam("order")),
        rows,
    )


def _cover(connection: Connection, news: News) -> None:
    """Which messages deploys cover: a taking and its result mostly say the same."""
    taken = ((event.deploy, message) for event, batch in news.taken for message in batch)
    standing = ((event.deploy, message.id) for event in news.ended for message in event.standing)
    superseded = ((event.deploy, message) for event in news.ended for message in event.superseded)
    rows = [{"deploy": deploy, "message": m} for deploy, m in dict.fromkeys((*taken, *standing, *superseded))]
    if rows:
        connection.execute(insert(connection, covers).on_conflict_do_nothing(), rows)


def _take(connection: Connection, taken: list[tuple[DeployTaken, tuple[str, ...]]]) -> None:
    if not taken:
        return
    new = insert(connection, deploys)
    known = {name: new.excluded[name] for name in ("holder", "fence", "taken_at", "began_at")}
    rows = [
        {
            "id": event.deploy,
            "server": event.server,
            "began_at": event.taken_at,
            "holder": event.holder,
            "fence": event.fence,
            "taken_at": event.taken_at,
        }
        for event, _ in taken
    ]
    connection.execute(new.on_conflict_do_update(index_elements=["id"], set_=known), rows)


def _interrupt(connection: Connection, interrupted: list[DeployInterrupted]) -> None:
    """A deploy's own result says more than that it was interrupted, whichever comes first."""
    if interrupted:
        connection.execute(
            update(deploys)
            .where(deploys.c.id == bindparam("deploy"), deploys.c.outcome.is_(None))
            .values(outcome=Outcome.INTERRUPTED, reason=bindparam("why"), ended_at=bindparam("at")),
            [{"deploy": event.deploy, "why": event.reason, "at": event.at} for event in interrupted],
        )


def _end(connection: Connection, ended: list[DeployEnded]) -> None:
    if not ended:
        return
    rows = [_deploy(event) for event in ended]
    new = insert(connection, deploys)
    result = {name: new.excluded[name] for name in rows[0] if name not in ("id", "server", "began_at")}
    unknown = or_(deploys.c.outcome.is_(None), deploys.c.started_at.is_(None))
    connection.execute(new.on_conflict_do_update(index_elements=["id"], set_=result, where=unknown), rows)
    closed: dict[State, list[Row]] = {State.DEPLOYED: [], State.FAILED: [], State.SUPERSEDED: []}
    for event in ended:
        state = State.DEPLOYED if event.outcome is Outcome.PASSED else State.FAILED
        closed[state] += [_moved(message.id, event.deploy, event.ended_at) for message in event.standing]
        closed[State.SUPERSEDED] += [_moved(message, event.deploy, event.ended_at) for message in event.superseded]
    for state, moved in closed.items():
        _move(connection, state, moved)


def _deploy(event: DeployEnded) -> Row:
    return {
        "id": event.deploy,
        "server": event.server,
        "began_at": event.started_at,
        "outcome": event.outcome,
        "reason": event.reason,
        "exit_code": event.exit_code,
        "rehearsed": event.rehearsed,
        "command": list(event.command),
        "started_at": event.started_at,
        "ended_at": event.ended_at,
        "output": event.output,
        "cut": event.cut,
        "log": event.log,
    }


def _park(connection: Connection, parked: list[MessagesParked]) -> None:
    """The time stays that of the failure."""
    rows: list[Row] = [{"message": message, "with": event.deploy} for event in parked for message in event.messages]
    if rows:
        connection.execute(
            update(messages)
            .where(messages.c.id == bindparam("message"), _may_become(State.PARKED))
            .values(state=State.PARKED, deploy=bindparam("with"), by=None),
            rows,
        )
