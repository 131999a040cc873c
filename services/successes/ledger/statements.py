"""The SQL statements that write the ledger. Building one costs more than running it, so each is built only once."""

from functools import cache

from sqlalchemy import ColumnElement, Table, Update, bindparam, case, func, or_, update
from sqlalchemy.dialects import postgresql, sqlite

from successes.ledger.schema import covers, deploys, journal, messages
from usher.core.events import Outcome
from usher.core.states import BEFORE, OPEN, State

Insert = sqlite.Insert | postgresql.Insert

TAKEN = ("holder", "fence", "taken_at", "began_at")
"""The columns of a deploy that its taking sets."""

RESULT = (
    "outcome",
    "reason",
    "exit_code",
    "rehearsed",
    "command",
    "started_at",
    "ended_at",
    "output",
    "truncated",
    "log",
)
"""The columns of a deploy that its result sets."""


def insert(dialect: str, table: Table) -> Insert:
    """An INSERT that accepts ON CONFLICT, which is not standard SQL, but is the same in both databases."""
    return postgresql.insert(table) if dialect == "postgresql" else sqlite.insert(table)


@cache
def receive(dialect: str) -> Insert:
    """A message was received; an existing one gets the new count, if that is higher."""
    new = insert(dialect, messages)
    higher = new.excluded.received > messages.c.received
    return new.on_conflict_do_update(index_elements=["id"], set_={"received": new.excluded.received}, where=higher)


@cache
def cover(dialect: str) -> Insert:
    """A deploy covers a message."""
    return insert(dialect, covers).on_conflict_do_nothing()


@cache
def take(dialect: str) -> Insert:
    """A deploy was taken."""
    new = insert(dialect, deploys)
    return new.on_conflict_do_update(index_elements=["id"], set_={name: new.excluded[name] for name in TAKEN})


@cache
def end(dialect: str) -> Insert:
    """A deploy has a result, which replaces an interruption."""
    new = insert(dialect, deploys)
    no_result = or_(deploys.c.outcome.is_(None), deploys.c.started_at.is_(None))
    result = {name: new.excluded[name] for name in RESULT}
    return new.on_conflict_do_update(index_elements=["id"], set_=result, where=no_result)


@cache
def go_through(dialect: str) -> Insert:
    """The journal has been read up to an entry."""
    new = insert(dialect, journal)
    position = {"through": new.excluded.through, "entry": new.excluded.entry}
    return new.on_conflict_do_update(index_elements=["id"], set_=position)


@cache
def interrupt() -> Update:
    """A deploy without a result was interrupted (parameters `deploy`, `why`, `at`, `by`).

    Only its holder knows when it ended. Anybody else found out later that it must have ended.
    """
    at: ColumnElement[int | None] = bindparam("at", type_=deploys.c.ended_at.type)
    by: ColumnElement[str] = bindparam("by", type_=deploys.c.holder.type)
    return (
        update(deploys)
        .where(deploys.c.id == bindparam("deploy"), deploys.c.outcome.is_(None))
        .values(outcome=Outcome.INTERRUPTED, reason=bindparam("why"), ended_at=case((deploys.c.holder == by, at)))
    )


@cache
def move(state: State) -> Update:
    """A message changes to that state, if its own state allows it (parameters `message`, `with`, `at`, `order`).

    `with` is the deploy that changed it, and `order` is who ordered the change.
    """
    deploy: ColumnElement[str | None] = bindparam("with", type_=messages.c.deploy.type)
    at: ColumnElement[int | None] = bindparam("at", type_=messages.c.changed_at.type)
    # the person is known only where the time is known
    by = case((at.is_(None), messages.c.by), else_=bindparam("order", type_=messages.c.by.type))
    if state not in OPEN:
        # an order has no deploy: keep the one that failed, which is still worth knowing
        deploy = func.coalesce(deploy, messages.c.deploy)
    # not IN, which cannot be used in executemany
    allowed = or_(*(messages.c.state == before for before in sorted(BEFORE[state])))
    return (
        update(messages)
        .where(messages.c.id == bindparam("message"), allowed)
        .values(state=state, deploy=deploy, changed_at=func.coalesce(at, messages.c.changed_at), by=by)
    )
