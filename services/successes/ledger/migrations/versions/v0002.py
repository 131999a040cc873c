"""Retries: the attempts of a move, when one is due, and who ordered it. And how much of the journal is included."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Every existing message is the first attempt of its move."""
    with op.batch_alter_table("messages") as messages:
        messages.add_column(sa.Column("origin", sa.String(32)))
        messages.add_column(sa.Column("due_at", sa.BigInteger))
        messages.add_column(sa.Column("by", sa.String))
    op.execute(sa.text("UPDATE messages SET origin = id"))
    with op.batch_alter_table("messages") as messages:
        messages.alter_column("origin", existing_type=sa.String(32), nullable=False)
        messages.create_index("messages_by_origin", ["origin", "attempt"])
    op.create_index("covers_by_message", "covers", ["message"])
    op.create_table(
        "journal",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("through", sa.BigInteger, nullable=False),
        sa.Column("entry", sa.String, nullable=False),
    )
