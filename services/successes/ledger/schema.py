"""The ledger's tables. Times are milliseconds since 1970 UTC. A change here needs a revision in `migrations`."""

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Dialect,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
)

LONGEST_NAME = 300
"""The maximum length of a name: a PostgreSQL index entry holds at most 2,704 bytes."""


class Line(TypeDecorator[str]):
    """Text from outside. PostgreSQL refuses NUL, so it is replaced in both databases."""

    impl = String
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        return value and value.replace("\0", "\ufffd")


class Words(Line):
    """Longer text from outside."""

    impl = Text
    cache_ok = True


class Name(Line):
    """Text by which rows are found, truncated if it is too long for an index."""

    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        return super().process_bind_param(value and value[:LONGEST_NAME], dialect)


metadata = MetaData()

messages = Table(
    "messages",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("issue", Name, nullable=False),
    Column("project", Name, nullable=False),
    Column("status", Name, nullable=False),
    Column("server", Name, nullable=False),
    Column("state", String, nullable=False),
    Column("source", String, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("queued_at", BigInteger, nullable=False),
    Column("moved_at", BigInteger),
    Column("changed_at", BigInteger, nullable=False),
    Column("deploy", String(12)),
    Column("received", Integer, nullable=False),
    # the id of the first attempt of the same move; for a first attempt, its own id
    Column("origin", String(32), nullable=False),
    # when a retry is due
    Column("due_at", BigInteger),
    # who ordered the last change, if somebody did
    Column("by", Name),
    # who moved the issue in the tracker, or the address that reported it; and the tracker's id of that person
    Column("moved_by", Name),
    Column("moved_by_id", Name),
    Index("messages_by_time", "queued_at", "id"),
    Index("messages_by_issue", "issue", "queued_at"),
    Index("messages_by_project", "project", "status", "queued_at"),
    Index("messages_by_server", "server", "state", "queued_at"),
    Index("messages_by_state", "state", "queued_at"),
    Index("messages_by_origin", "origin", "attempt"),
)

deploys = Table(
    "deploys",
    metadata,
    Column("id", String(12), primary_key=True),
    Column("server", Name, nullable=False),
    # when it was taken or, if that is not known, when it started; deploys are listed in this order
    Column("began_at", BigInteger, nullable=False),
    Column("holder", Name),
    Column("fence", BigInteger),
    Column("taken_at", BigInteger),
    Column("outcome", String),
    Column("reason", Words),
    Column("exit_code", BigInteger),
    Column("rehearsed", Boolean),
    Column("command", JSON),
    Column("started_at", BigInteger),
    Column("ended_at", BigInteger),
    Column("output", Words),
    Column("truncated", Boolean),
    Column("log", Line),
    Index("deploys_by_time", "began_at", "id"),
    Index("deploys_by_server", "server", "began_at"),
    Index("deploys_by_outcome", "outcome", "began_at"),
)

covers = Table(
    "covers",
    metadata,
    Column("deploy", String(12), primary_key=True),
    Column("message", String(32), primary_key=True),
    Index("covers_by_message", "message"),
    sqlite_with_rowid=False,
)
"""The messages that each deploy covers."""

journal = Table(
    "journal",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("through", BigInteger, nullable=False),
    Column("entry", String, nullable=False),
)
"""One row: the journal entry up to which the ledger is complete, and its offset."""

ignored = Table(
    "ignored",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("at", BigInteger, nullable=False),
    Column("issue", Name, nullable=False),
    Column("status", Name, nullable=False),
    Column("reason", Line, nullable=False),
    Column("accept", Line),
    Column("moved_by", Name),
    Index("ignored_by_time", "at", "id"),
    Index("ignored_by_issue", "issue", "at"),
)
"""Moves that no server deploys."""
