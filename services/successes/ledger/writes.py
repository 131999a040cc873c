"""Writes to the ledger.

Every write is idempotent: the reply queue and the journal may report the same fact, twice and in either order, and a
replay of the whole journal changes nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from sqlalchemy import Connection, Insert, Update, select

from successes.ledger import statements
from successes.ledger.schema import ignored, journal
from usher.broker.places import Position
from usher.core.events import DeployEnded, DeployInterrupted, DeployTaken, Outcome
from usher.core.ignored import IgnoredMove
from usher.core.messages import BackMessage
from usher.core.states import State

Row = dict[str, object]


@dataclass(frozen=True, slots=True)
class Moved:
    """A message came into a state at `at` (ms). With None, its row keeps the time that it has.

    `deploy` or `by`, a person, says what caused the change, if anything did.
    """

    state: State
    deploy: str | None
    at: int | None
    by: str | None = None


@dataclass(slots=True)
class News:
    """Everything to be written in one transaction.

    `received` holds each message with the number of times that it was received so far. `retrying` are next attempts,
    which have not been received yet. `moved` needs only the latest state of each message, as the board has it. Of the
    results in `ended`, only those that passed settle messages. `through` is the journal entry up to which the ledger
    will then be complete.
    """

    received: dict[str, tuple[BackMessage, int]] = field(default_factory=dict)
    retrying: dict[str, BackMessage] = field(default_factory=dict)
    taken: list[tuple[DeployTaken, tuple[str, ...]]] = field(default_factory=list)
    moved: dict[str, Moved] = field(default_factory=dict)
    interrupted: list[DeployInterrupted] = field(default_factory=list)
    ended: list[DeployEnded] = field(default_factory=list)
    through: Position | None = None

    def __bool__(self) -> bool:
        return any((self.received, self.retrying, self.taken, self.moved, self.interrupted, self.ended))

    def then(self, later: "News") -> "News":
        """These and later news, combined."""
        return News(
            self.received | later.received,
            self.retrying | later.retrying,
            self.taken + later.taken,
            self.moved | later.moved,
            self.interrupted + later.interrupted,
            self.ended + later.ended,
            later.through or self.through,
        )


def write(connection: Connection, news: News) -> None:
    """Write the news. Messages come first, so that there are rows to change; then takings, then results."""
    dialect = connection.dialect.name

    def run(statement: Insert | Update, rows: list[Row]) -> None:
        if rows:
            connection.execute(statement, rows)

    receive = statements.receive(dialect)
    run(receive, [{**_message(message, 1), "state": State.RETRYING} for message in news.retrying.values()])
    run(receive, [_message(message, times) for message, times in news.received.values()])
    covered = (message for ended in news.ended for message in ended.standing if message.id not in news.received)
    run(receive, [_message(message, 1) for message in covered])
    run(statements.cover(dialect), _cover(news))
    run(statements.take(dialect), [_taken(event) for event, _ in news.taken])
    run(statements.interrupt(), [_interrupted(event) for event in news.interrupted])
    run(statements.end(dialect), [_deploy(event) for event in news.ended])
    passed = [event for event in news.ended if event.outcome is Outcome.PASSED]
    deployed = ((event, message.id) for event in passed for message in event.standing)
    run(statements.move(State.DEPLOYED), [_moved(m, e.deploy, e.ended_at) for e, m in deployed])
    superseded = ((event, message) for event in passed for message in event.superseded)
    run(statements.move(State.SUPERSEDED), [_moved(m, e.deploy, e.ended_at) for e, m in superseded])
    moved: dict[State, list[Row]] = {state: [] for state in State}
    for message, move in news.moved.items():
        moved[move.state].append(_moved(message, move.deploy, move.at, move.by))
    for state, rows in moved.items():
        run(statements.move(state), rows)
    if news.through:
        through = {"id": 1, "through": news.through.offset, "entry": news.through.entry}
        run(statements.go_through(dialect), [through])


def write_ignored(connection: Connection, moves: Sequence[IgnoredMove]) -> None:
    """Record ignored moves. One that is recorded already is left as it is."""
    rows = [move.model_dump(exclude={"v", "kind"}) for move in moves]
    connection.execute(statements.insert(connection.dialect.name, ignored).on_conflict_do_nothing(), rows)


def read_through(connection: Connection) -> Position | None:
    """The journal entry up to which the ledger is complete; None if it has nothing yet."""
    row = connection.execute(select(journal.c.through, journal.c.entry)).first()
    return Position(row.through, row.entry) if row else None


def _message(message: BackMessage, times: int) -> Row:
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
        "received": times,
        "origin": message.move,
        "due_at": message.queued_at if message.origin else None,
        "by": None,
        "moved_by": message.moved_by,
        "moved_by_id": message.moved_by_id,
    }


def _moved(message: str, deploy: str | None, at: int | None, order: str | None = None) -> Row:
    return {"message": message, "with": deploy, "at": at, "order": order}


def _cover(news: News) -> list[Row]:
    """The messages that deploys cover, without duplicates: a taking and its result usually name the same ones."""
    taken = ((event.deploy, message) for event, batch in news.taken for message in batch)
    standing = ((event.deploy, message.id) for event in news.ended for message in event.standing)
    superseded = ((event.deploy, message) for event in news.ended for message in event.superseded)
    return [{"deploy": deploy, "message": m} for deploy, m in dict.fromkeys((*taken, *standing, *superseded))]


def _taken(event: DeployTaken) -> Row:
    return {
        "id": event.deploy,
        "server": event.server,
        "began_at": event.taken_at,
        "holder": event.holder,
        "fence": event.fence,
        "taken_at": event.taken_at,
    }


def _interrupted(event: DeployInterrupted) -> Row:
    return {"deploy": event.deploy, "why": event.reason, "at": event.at, "by": event.by}


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
        "truncated": event.truncated,
        "log": event.log,
    }
