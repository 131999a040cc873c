"""What is written into the ledger.

Every write is idempotent: the reply queue and the journal may tell the same thing, twice, in either order, and a replay
of the whole journal changes nothing.
"""

from dataclasses import dataclass, field

from sqlalchemy import ColumnElement, Connection, Table, bindparam, case, func, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite

from successes.order import BEFORE
from successes.schema import covers, deploys, journal, messages
from usher.broker.reading import Position
from usher.events import DeployEnded, DeployInterrupted, DeployTaken, Outcome
from usher.messages import BackMessage
from usher.states import OPEN, State

Row = dict[str, object]


@dataclass(frozen=True, slots=True)
class Moved:
    """A message came into a state at `at` (ms; None: the time of its row stays): by a deploy, by somebody's order, or
    by neither."""

    state: State
    deploy: str | None
    at: int | None
    by: str | None = None


@dataclass(slots=True)
class News:
    """What is to be written in one transaction. `told` says how often each message was told so far; `retrying` are next
    attempts, which nobody has told yet. Of all the states that a message came into, `moved` needs to have the last one,
    as the board has it; of `ended`, the ledger learns of messages only what has passed. `through` is the entry of the
    journal up to which nothing is left to be told."""

    told: dict[str, tuple[BackMessage, int]] = field(default_factory=dict)
    retrying: dict[str, BackMessage] = field(default_factory=dict)
    taken: list[tuple[DeployTaken, tuple[str, ...]]] = field(default_factory=list)
    moved: dict[str, Moved] = field(default_factory=dict)
    interrupted: list[DeployInterrupted] = field(default_factory=list)
    ended: list[DeployEnded] = field(default_factory=list)
    through: Position | None = None

    def __bool__(self) -> bool:
        return any((self.told, self.retrying, self.taken, self.moved, self.interrupted, self.ended))

    def then(self, later: "News") -> "News":
        """This and what came later, as one."""
        return News(
            self.told | later.told,
            self.retrying | later.retrying,
            self.taken + later.taken,
            self.moved | later.moved,
            self.interrupted + later.interrupted,
            self.ended + later.ended,
            later.through or self.through,
        )


def write(connection: Connection, news: News) -> None:
    """Write it. Messages come first, so that there are rows to change; then what opens them, then what closes them."""
    _tell(connection, [{**_message(message, 1), "state": State.RETRYING} for message in news.retrying.values()])
    _tell(connection, [_message(message, told) for message, told in news.told.values()])
    covered = (message for ended in news.ended for message in ended.standing if message.id not in news.told)
    _tell(connection, [_message(message, 1) for message in covered])
    _cover(connection, news)
    _take(connection, news.taken)
    _interrupt(connection, news.interrupted)
    _end(connection, news.ended)
    moved: dict[State, list[Row]] = {state: [] for state in State}
    for message, move in news.moved.items():
        moved[move.state].append(_moved(message, move.deploy, move.at, move.by))
    for state, rows in moved.items():
        _move(connection, state, rows)
    if news.through:
        _went_through(connection, news.through)


def read_through(connection: Connection) -> Position | None:
    """The entry of the journal up to which the ledger has been told everything."""
    row = connection.execute(select(journal.c.through, journal.c.entry)).first()
    return Position(row.through, row.entry) if row else None


def insert(connection: Connection, table: Table) -> sqlite.Insert | postgresql.Insert:
    """An INSERT that can say what happens ON CONFLICT, which is no standard SQL but the same for both databases."""
    return postgresql.insert(table) if connection.dialect.name == "postgresql" else sqlite.insert(table)


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


def _went_through(connection: Connection, position: Position) -> None:
    new = insert(connection, journal).values(id=1, through=position.offset, entry=position.entry)
    going_on = {"through": new.excluded.through, "entry": new.excluded.entry}
    connection.execute(new.on_conflict_do_update(index_elements=["id"], set_=going_on))


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


def _moved(message: str, deploy: str | None, at: int | None, order: str | None = None) -> Row:
    return {"message": message, "with": deploy, "at": at, "order": order}


def _move(connection: Connection, state: State, rows: list[Row]) -> None:
    if not rows:
        return
    deploy: ColumnElement[str | None] = bindparam("with", type_=messages.c.deploy.type)
    at: ColumnElement[int | None] = bindparam("at", type_=messages.c.changed_at.type)
    # by whom it came into that state is known where it is known when
    by = case((at.is_(None), messages.c.by), else_=bindparam("order", type_=messages.c.by.type))
    if state not in OPEN:
        # an order is by no deploy, and the one that failed stays worth knowing
        deploy = func.coalesce(deploy, messages.c.deploy)
    connection.execute(
        update(messages)
        .where(messages.c.id == bindparam("message"), _may_become(state))
        .values(state=state, deploy=deploy, changed_at=func.coalesce(at, messages.c.changed_at), by=by),
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
    passed = [event for event in ended if event.outcome is Outcome.PASSED]
    for state, stood in ((State.DEPLOYED, True), (State.SUPERSEDED, False)):
        covered = ((e, m) for e in passed for m in ([m.id for m in e.standing] if stood else e.superseded))
        _move(connection, state, [_moved(m, e.deploy, e.ended_at) for e, m in covered])


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
