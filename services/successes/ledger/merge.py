"""Merges a ledger that was just rebuilt from the journal into the real one."""

from collections.abc import Container, Iterator
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, Table, and_, func, or_, select

from successes.ledger.schema import covers, deploys, messages
from successes.ledger.statements import RESULT, cover, insert
from successes.ledger.writes import Row
from usher.core.states import BEFORE, State

BATCH_SIZE = 1000
_CHANGE = ("state", "deploy", "changed_at", "by")


@dataclass(frozen=True, slots=True)
class Merged:
    """How many rows came from the journal, and how many other rows the ledger has."""

    messages: int
    deploys: int
    kept_messages: int
    kept_deploys: int

    def __str__(self) -> str:
        return (
            f"the ledger has {self.messages:,} messages and {self.deploys:,} deploys from the journal, "
            f"and keeps {self.kept_messages:,} messages and {self.kept_deploys:,} deploys that it no longer covers"
        )


def merge(fresh: Connection, real: Connection, whole: Container[str]) -> Merged:
    """Write every row of `fresh` into `real`, in the transaction that is open there.

    `whole` are the messages whose first event is in the journal: their rows replace the existing ones. For a message or
    a deploy that is older than the journal, only its later changes are taken over. A message that was settled by a
    result which is not in the journal stays settled.
    """
    for rows in _rows(fresh, messages):
        _put_messages(real, [row for row in rows if row["id"] in whole], whole=True)
        _put_messages(real, [row for row in rows if row["id"] not in whole], whole=False)
    for rows in _rows(fresh, deploys):
        _put_deploys(real, [row for row in rows if row["taken_at"] is not None], whole=True)
        _put_deploys(real, [row for row in rows if row["taken_at"] is None], whole=False)
    for rows in _rows(fresh, covers):
        real.execute(cover(real.dialect.name), rows)
    rebuilt, ended = _count(fresh, messages), _count(fresh, deploys)
    return Merged(rebuilt, ended, _count(real, messages) - rebuilt, _count(real, deploys) - ended)


def _rows(fresh: Connection, table: Table) -> Iterator[list[Row]]:
    for rows in fresh.execution_options(yield_per=BATCH_SIZE).execute(select(table)).mappings().partitions():
        yield [dict(row) for row in rows]


def _count(connection: Connection, table: Table) -> int:
    return connection.execute(select(func.count()).select_from(table)).scalar_one()


def _put_messages(real: Connection, rows: list[Row], *, whole: bool) -> None:
    if not rows:
        return
    new = insert(real.dialect.name, messages)
    existing, rebuilt = messages.c.state, new.excluded.state
    if whole:
        # a message that was re-published after the journal lost its first event looks newer than it is
        where = and_(new.excluded.queued_at <= messages.c.queued_at, ~_precedes(rebuilt, existing))
        names = [column.name for column in messages.c if column.name != "id"]
    else:
        where, names = _precedes(existing, rebuilt), list(_CHANGE)
    changed = {name: new.excluded[name] for name in names}
    real.execute(new.on_conflict_do_update(index_elements=["id"], set_=changed, where=where), rows)


def _put_deploys(real: Connection, rows: list[Row], *, whole: bool) -> None:
    if not rows:
        return
    new = insert(real.dialect.name, deploys)
    has_result, brings_result = deploys.c.started_at.is_not(None), new.excluded.started_at.is_not(None)
    if whole:
        where = or_(~has_result, brings_result)
        names = [column.name for column in deploys.c if column.name != "id"]
    else:
        where, names = and_(~has_result, brings_result), list(RESULT)
    changed = {name: new.excluded[name] for name in names}
    real.execute(new.on_conflict_do_update(index_elements=["id"], set_=changed, where=where), rows)


def _precedes(state: ColumnElement[str], other: ColumnElement[str]) -> ColumnElement[bool]:
    """Whether a message can change from `state` to `other`, but not back."""
    return or_(
        *(and_(state == before, other == after) for after in State for before in State if _is_before(before, after))
    )


def _is_before(before: State, after: State) -> bool:
    return before in BEFORE[after] and after not in BEFORE[before]
