"""The ledger as version 0.9.0 created it."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """From an empty database."""
    op.create_table(
        "messages",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("issue", sa.String, nullable=False),
        sa.Column("project", sa.String, nullable=False),
        sa.Column("status", sa.String, nullable=False),
        sa.Column("server", sa.String, nullable=False),
        sa.Column("state", sa.String, nullable=False),
        sa.Column("source", sa.String, nullable=False),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("queued_at", sa.BigInteger, nullable=False),
        sa.Column("moved_at", sa.BigInteger),
        sa.Column("changed_at", sa.BigInteger, nullable=False),
        sa.Column("deploy", sa.String(12)),
        sa.Column("told", sa.Integer, nullable=False),
    )
    op.create_index("messages_by_time", "messages", ["queued_at", "id"])
    op.create_index("messages_by_issue", "messages", ["issue", "queued_at"])
    op.create_index("messages_by_project", "messages", ["project", "status", "queued_at"])
    op.create_index("messages_by_server", "messages", ["server", "state", "queued_at"])
    op.create_index("messages_by_state", "messages", ["state", "queued_at"])
    op.create_table(
        "deploys",
        sa.Column("id", sa.String(12), primary_key=True),
        sa.Column("server", sa.String, nullable=False),
        sa.Column("began_at", sa.BigInteger, nullable=False),
        sa.Column("holder", sa.String),
        sa.Column("fence", sa.BigInteger),
        sa.Column("taken_at", sa.BigInteger),
        sa.Column("outcome", sa.String),
        sa.Column("reason", sa.Text),
        sa.Column("exit_code", sa.BigInteger),
        sa.Column("rehearsed", sa.Boolean),
        sa.Column("command", sa.JSON),
        sa.Column("started_at", sa.BigInteger),
        sa.Column("ended_at", sa.BigInteger),
        sa.Column("output", sa.Text),
        sa.Column("cut", sa.Boolean),
        sa.Column("log", sa.String),
    )
    op.create_index("deploys_by_time", "deploys", ["began_at", "id"])
    op.create_index("deploys_by_server", "deploys", ["server", "began_at"])
    op.create_index("deploys_by_outcome", "deploys", ["outcome", "began_at"])
    op.create_table(
        "covers",
        sa.Column("deploy", sa.String(12), primary_key=True),
        sa.Column("message", sa.String(32), primary_key=True),
        sqlite_with_rowid=False,
    )
