"""How the ledger is written, in SQL: each statement is made once for each database, which costs more than to run it."""

from functools import cache

from sqlalchemy import ColumnElement, Table, Update, bindparam, case, func, or_, update
from sqlalchemy.dialects import postgresql, sqlite

from successes.ledger.schema import covers, deploys, journal, messages
from usher.core.events import Outcome
from usher.core.states import BEFORE, OPEN, State

Insert = sqlite.Insert | postgresql.Insert

TAKEN = ("holder", "fence", "taken_at", "began_at")
"""What a taking tells of a deploy."""

RESULT = ("outcome", "reason", "exit_code", "rehearsed", "command", "started_at", "ended_at", "output", "cut", "log")
"""What a result tells of it."""


def insert(dialect: str, table: Table) -> Insert:
    """An INSERT that can say what happens ON CONFLICT, which is no standard SQL but the same for both databases."""
    return postgresql.insert(table) if dialect == "postgresql" else sqlite.insert(table)


@cache
def tell(dialect: str) -> Insert:
    """A message is told; one that is there has been told so often."""
    new = insert(dialect, messages)
    more = new.excluded.told > messages.c.told
    return new.on_conflict_do_update(index_elements=["id"], set_={"told": new.excluded.told}, where=more)


@cache
def cover(dialect: str) -> Insert:
    """A deploy covers a message."""
    return insert(dialect, covers).on_conflict_do_nothing()


@cache
def take(dialect: str) -> Insert:
    """A deploy is taken."""
    new = insert(dialect, deploys)
    return new.on_conflict_do_update(index_elements=["id"], set_={name: new.excluded[name] for name in TAKEN})


@cache
def end(dialect: str) -> Insert:
    """A deploy has a result: it says more than that it was interrupted."""
    new = insert(dialect, deploys)
    unknown = or_(deploys.c.outcome.is_(None), deploys.c.started_at.is_(None))
    result = {name: new.excluded[name] for name in RESULT}
    return new.on_conflict_do_update(index_elements=["id"], set_=result, where=unknown)


@cache
def go_through(dialect: str) -> Insert:
    """The journal has been read up to an entry."""
    new = insert(dialect, journal)
    going_on = {"through": new.excluded.through, "entry": new.excluded.entry}
    return new.on_conflict_do_update(index_elements=["id"], set_=going_on)


@cache
def interrupt() -> Update:
    """A deploy without a result is interrupted (`deploy`, `why`, `at`)."""
    return (
        update(deploys)
        .where(deploys.c.id == bindparam("deploy"), deploys.c.outcome.is_(None))
        .values(outcome=Outcome.INTERRUPTED, reason=bindparam("why"), ended_at=bindparam("at"))
    )


@cache
def move(state: State) -> Update:
    """A message comes into that state, if it can from its own (`message`, `with` a deploy, `at`, by which `order`)."""
    deploy: ColumnElement[str | None] = bindparam("with", type_=messages.c.deploy.type)
    at: ColumnElement[int | None] = bindparam("at", type_=messages.c.changed_at.type)
    # by whom it came into that state is known where it is known when
    by = case((at.is_(None), messages.c.by), else_=bindparam("order", type_=messages.c.by.type))
    if state not in OPEN:
        # an order is by no deploy, and the one that failed stays worth knowing
        deploy = func.coalesce(deploy, messages.c.deploy)
    # not IN: it cannot be used with many rows at once
    may = or_(*(messages.c.state == before for before in sorted(BEFORE[state])))
    return (
        update(messages)
        .where(messages.c.id == bindparam("message"), may)
        .values(state=state, deploy=deploy, changed_at=func.coalesce(at, messages.c.changed_at), by=by)
    )
