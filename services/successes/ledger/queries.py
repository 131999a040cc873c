"""Queries of the ledger: pages of messages and deploys, newest first."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from math import ceil
from typing import Annotated, Any, Generic, TypeVar

from pydantic import BaseModel, Field
from sqlalchemy import Column, ColumnElement, Connection, Row, func, select

from successes.ledger.schema import covers, deploys, ignored, messages
from usher.api.types import Deploy, IgnoredMove, MessageState, time
from usher.core.issues import Issue

T = TypeVar("T")


class Page(BaseModel, Generic[T]):
    """One page of a list: `total` items on `pages` pages."""

    items: list[T]
    total: Annotated[int, Field(description="items on all pages")]
    page: Annotated[int, Field(description="this page, counted from 1")]
    pages: Annotated[int, Field(description="number of pages")]


@dataclass(frozen=True, slots=True)
class PageRequest:
    """A page request: the page's number, counted from 1, and its maximum number of items."""

    page: int
    per_page: int

    @property
    def offset(self) -> int:
        """The number of items before this page."""
        return (self.page - 1) * self.per_page

    def of(self, total: int, items: list[T]) -> Page[T]:
        """The page with these items."""
        return Page(items=items, total=total, page=self.page, pages=max(1, ceil(total / self.per_page)))


def find_messages(connection: Connection, matching: Mapping[str, str | None], asked: PageRequest) -> Page[MessageState]:
    """The messages whose columns equal `matching` (None: any value), the last received first."""
    total, rows = _page(connection, messages.c, matching, (messages.c.queued_at.desc(), messages.c.id), asked)
    rehearsed = _rehearsed(connection, {row.deploy for row in rows if row.deploy})
    found = [_message(row) for row in rows]
    return asked.of(total, [m.model_copy(update={"rehearsed": m.deploy in rehearsed}) for m in found])


def find_deploys(
    connection: Connection,
    matching: Mapping[str, str | None],
    asked: PageRequest,
    *,
    rehearses: bool,
    began: tuple[datetime | None, datetime | None] = (None, None),
) -> Page[Deploy]:
    """The deploys whose columns equal `matching` (None: any value), the last started first.

    `rehearses` says whether a deploy that still runs is a rehearsal. `began` is the period in which they began: from
    its first time on, and before its second.
    """
    listed = [column for column in deploys.c if column.name != "output"]
    since, until = (None if at is None else round(at.timestamp() * 1000) for at in began)
    period = [] if since is None else [deploys.c.began_at >= since]
    period += [] if until is None else [deploys.c.began_at < until]
    order = (deploys.c.began_at.desc(), deploys.c.id)
    total, rows = _page(connection, listed, matching, order, asked, period)
    covered = _covered(connection, [row.id for row in rows])
    return asked.of(total, [_deploy(row, covered.get(row.id, []), rehearses) for row in rows])


def find_deploy(connection: Connection, deploy: str, *, rehearses: bool) -> Deploy | None:
    """That deploy; None if the ledger does not have it."""
    return next(iter(find_deploys(connection, {"id": deploy}, PageRequest(1, 1), rehearses=rehearses).items), None)


def find_output(connection: Connection, deploy: str) -> str | None:
    """The end of the command's output; None if the ledger has no such deploy, or the deploy has no result yet."""
    return connection.execute(select(deploys.c.output).where(deploys.c.id == deploy)).scalar()


def find_ignored(connection: Connection, matching: Mapping[str, str | None], asked: PageRequest) -> Page[IgnoredMove]:
    """The ignored moves whose columns equal `matching` (None: any value), the latest first."""
    total, rows = _page(connection, ignored.c, matching, (ignored.c.at.desc(), ignored.c.id), asked)
    return asked.of(total, [IgnoredMove.model_validate({**row._mapping, "at": time(row.at)}) for row in rows])


def find_covered(connection: Connection, deploy: str) -> dict[str, Issue]:
    """The issue of each move that a deploy covers, by the id of the move's first message."""
    query = (
        select(messages.c.origin, messages.c.issue)
        .join(covers, covers.c.message == messages.c.id)
        .where(covers.c.deploy == deploy)
    )
    return {row.origin: Issue.parse(row.issue) for row in connection.execute(query)}


def find_known(connection: Connection, ids: Iterable[str]) -> dict[str, MessageState]:
    """Those of these messages that the ledger has, by id."""
    rows = connection.execute(select(messages).where(messages.c.id.in_(list(ids))))
    return {row.id: _message(row) for row in rows}


def _page(
    connection: Connection,
    columns: Iterable[Column[Any]],
    matching: Mapping[str, str | None],
    order: tuple[ColumnElement[Any], ...],
    asked: PageRequest,
    also: Collection[ColumnElement[bool]] = (),
) -> tuple[int, Sequence[Row[Any]]]:
    """The number of rows that match all conditions, and the rows of one page."""
    columns = list(columns)
    table = columns[0].table
    wanted = [*also, *(table.c[name] == value for name, value in matching.items() if value is not None)]
    total = connection.execute(select(func.count()).select_from(table).where(*wanted)).scalar_one()
    query = select(*columns).where(*wanted).order_by(*order).limit(asked.per_page).offset(asked.offset)
    return total, connection.execute(query).all()


def _covered(connection: Connection, ids: Sequence[str]) -> dict[str, list[str | None]]:
    """The issues of the messages that each deploy covers; None for a message that the ledger does not have."""
    query = (
        select(covers.c.deploy, messages.c.issue)
        .outerjoin(messages, messages.c.id == covers.c.message)
        .where(covers.c.deploy.in_(ids))
    )
    found: dict[str, list[str | None]] = {}
    for row in connection.execute(query):
        found.setdefault(row.deploy, []).append(row.issue)
    return found


def _rehearsed(connection: Connection, ids: Collection[str]) -> set[str]:
    """Those of these deploys that were rehearsals."""
    return set(connection.execute(select(deploys.c.id).where(deploys.c.id.in_(ids), deploys.c.rehearsed)).scalars())


def _message(row: Row[Any]) -> MessageState:
    times = {name: time(row._mapping[name]) for name in ("queued_at", "changed_at")}
    optional = {name: None if (at := row._mapping[name]) is None else time(at) for name in ("moved_at", "due_at")}
    return MessageState.model_validate({**row._mapping, **times, **optional})


def _deploy(row: Row[Any], covered: Sequence[str | None], rehearses: bool) -> Deploy:
    names = ("taken_at", "started_at", "ended_at")
    times = {name: None if (at := row._mapping[name]) is None else time(at) for name in names}
    return Deploy.model_validate(
        {
            **row._mapping,
            **times,
            "issues": sorted({Issue.parse(issue) for issue in covered if issue}),
            "messages": len(covered),
            "rehearsed": rehearses if row.rehearsed is None else row.rehearsed,
            "truncated": bool(row.truncated),
        }
    )
