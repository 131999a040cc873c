"""The ledger's tables. Times are milliseconds since 1970 UTC."""

from sqlalchemy import JSON, BigInteger, Boolean, Column, Index, Integer, MetaData, String, Table, Text

metadata = MetaData()

messages = Table(
    "messages",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("issue", String, nullable=False),
    Column("project", String, nullable=False),
    Column("status", String, nullable=False),
    Column("server", String, nullable=False),
    Column("state", String, nullable=False),
    Column("source", String, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("queued_at", BigInteger, nullable=False),
    Column("moved_at", BigInteger),
    Column("changed_at", BigInteger, nullable=False),
    Column("deploy", String(12)),
    Column("told", Integer, nullable=False),
    Index("messages_by_time", "queued_at", "id"),
    Index("messages_by_issue", "issue", "queued_at"),
    Index("messages_by_project", "project", "status", "queued_at"),
    Index("messages_by_server", "server", "state", "queued_at"),
    Index("messages_by_state", "state", "queued_at"),
)

deploys = Table(
    "deploys",
    metadata,
    Column("id", String(12), primary_key=True),
    Column("server", String, nullable=False),
    # when it was taken or, if the taking is not known, when it started: what deploys are listed by
    Column("began_at", BigInteger, nullable=False),
    Column("holder", String),
    Column("fence", BigInteger),
    Column("taken_at", BigInteger),
    Column("outcome", String),
    Column("reason", Text),
    Column("exit_code", BigInteger),
    Column("rehearsed", Boolean),
    Column("command", JSON),
    Column("started_at", BigInteger),
    Column("ended_at", BigInteger),
    Column("output", Text),
    Column("cut", Boolean),
    Column("log", String),
    Index("deploys_by_time", "began_at", "id"),
    Index("deploys_by_server", "server", "began_at"),
    Index("deploys_by_outcome", "outcome", "began_at"),
)

covers = Table(
    "covers",
    metadata,
    Column("deploy", String(12), primary_key=True),
    Column("message", String(32), primary_key=True),
    sqlite_with_rowid=False,
)
"""Which messages a deploy covers."""
