"""Migrations of the ledger: each revision in `versions` is one step, on SQLite and PostgreSQL alike."""

import logging

from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect

from usher.core.errors import ServiceError

log = logging.getLogger(__name__)

FIRST = "0001"
"""The revision of a ledger that version 0.9.0 created. That version did not record a revision."""


class NewerLedger(ServiceError):
    """it was created by a newer version of Usher: it has revision {found}, and this version knows {known}"""


def upgrade(connection: Connection) -> None:
    """Create the ledger or migrate it to the newest revision, in the open transaction.

    That transaction must keep every other writer out. Raises NewerLedger.
    """
    scripts = _scripts()
    head = scripts.get_current_head()
    context = MigrationContext.configure(connection)
    found = context.get_current_revision()
    if found == head:
        return
    if found is None and inspect(connection).has_table("messages"):
        found = FIRST
        context.stamp(scripts, FIRST)
    if found and found not in {script.revision for script in scripts.walk_revisions()}:
        raise NewerLedger(found=found, known=head)
    with EnvironmentContext(
        Config(), scripts, fn=lambda heads, _: scripts._upgrade_revs("head", heads), destination_rev="head"
    ) as environment:
        environment.configure(connection=connection)
        environment.run_migrations()
    if found:
        log.info("the ledger was migrated from revision %s to %s", found, head)


def _scripts() -> ScriptDirectory:
    # by default it logs the kind of database at each start
    logging.getLogger("alembic").setLevel(logging.WARNING)
    config = Config()
    config.set_main_option("script_location", "successes.ledger:migrations")
    return ScriptDirectory.from_config(config)
