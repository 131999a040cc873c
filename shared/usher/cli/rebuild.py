"""`usher rebuild`: rebuilds the ledger from the journal, by running a program of `successes`."""

import importlib.util
import os
import subprocess
import sys
from contextlib import ExitStack

import typer

from usher.core.errors import ServiceError

PACKAGE = "successes"


def rebuild() -> None:
    """Rebuild the ledger (the database) from the journal (the events on the broker).

    Rows that are older than the journal are kept. You need not stop Usher. If Usher manages the broker and the broker
    is not running, the rebuild starts it.

    \b
    Examples:
      usher rebuild
      docker compose exec successes usher rebuild
    """
    from usher.local.choose import running_broker, running_in
    from usher.settings import load
    from usher.up import FOLDER

    if importlib.util.find_spec(PACKAGE) is None:
        raise ServiceError(why="the service successes is not installed here; run `usher rebuild` where it runs")
    settings = load()
    with ExitStack() as stack:
        environment = dict(os.environ)
        if not settings.broker.url:
            broker = running_in(FOLDER) or stack.enter_context(running_broker(settings, FOLDER))
            environment["USHER_BROKER__URL"] = broker.url
        raise typer.Exit(_run(environment))


def _run(environment: dict[str, str]) -> int:
    argv = [sys.executable, "-m", f"{PACKAGE}.ledger.rebuild"]
    with subprocess.Popen(argv, env=environment) as program:  # noqa: S603 - one of Usher's programs
        while True:
            try:
                return program.wait()
            except KeyboardInterrupt:
                continue  # the program gets Ctrl-C too, and stops cleanly
