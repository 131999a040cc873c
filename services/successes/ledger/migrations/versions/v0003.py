"""Plain names for two columns."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Rename the columns in place. Unlike a batch operation on SQLite, this copies no table."""
    op.execute(sa.text("ALTER TABLE messages RENAME COLUMN told TO received"))
    op.execute(sa.text("ALTER TABLE deploys RENAME COLUMN cut TO truncated"))
