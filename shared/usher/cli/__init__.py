"""The `usher` command. An expected error is one sentence on standard error and exit code 1; wrong usage is 2."""

import logging
import sys
from collections.abc import Sequence

from usher.core.errors import UsherError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command with these arguments (default: `sys.argv`). Returns the exit code."""
    from usher.cli.app import app

    # without a handler, Python prints the client's warnings; Usher says what is wrong in its own words
    for client in ("aio_pika", "aiormq"):
        logging.getLogger(client).addHandler(logging.NullHandler())
    try:
        app(list(sys.argv[1:] if arguments is None else arguments), prog_name="usher")
    except UsherError as fault:
        from usher.cli.screen import console

        console(stderr=True).print(f"usher: {fault}", soft_wrap=True)
        return 1
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else 0
    return 0
