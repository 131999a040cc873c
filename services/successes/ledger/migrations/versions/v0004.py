"""Who moved an issue. And the moves that were ignored."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Nobody knows who made the existing moves."""
    op.add_column("messages", sa.Column("moved_by", sa.String))
    op.add_column("messages", sa.Column("moved_by_id", sa.String))
    op.create_table(
        "ignored",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("issue", sa.String, nullable=False),
        sa.Column("status", sa.String, nullable=False),
        sa.Column("reason", sa.String, nullable=False),
        sa.Column("accept", sa.String),
        sa.Column("moved_by", sa.String),
        sa.Index("ignored_by_time", "at", "id"),
        sa.Index("ignored_by_issue", "issue", "at"),
    )
