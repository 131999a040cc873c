"""The ledger's versions: each revision in `versions` takes it one step further, on SQLite and PostgreSQL alike."""

import logging

from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect

from usher.core.errors import ServiceError

log = logging.getLogger(__name__)

FIRST = "0001"
"""What version 0.9.0 made, which did not write its number down."""


class NewerLedger(ServiceError):
    """it was made by a newer version of Usher (revision {found}, and this one knows {known})"""


def upgrade(connection: Connection) -> None:
    """Bring the ledger to the newest revision, from nothing or from any older one, in the transaction that is open.

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
        log.info("the ledger was of revision %s and is of revision %s now", found, head)


def _scripts() -> ScriptDirectory:
    # else it says at each start what kind of database it is
    logging.getLogger("alembic").setLevel(logging.WARNING)
    config = Config()
    config.set_main_option("script_location", "successes.ledger:migrations")
    return ScriptDirectory.from_config(config)
