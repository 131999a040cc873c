"""How a service's program runs: settings, logs, signals, an exit code. Only entry points use this."""

import argparse
import asyncio
import logging
import signal
import sys
from collections.abc import Awaitable, Callable

from usher.core.errors import UsherError
from usher.runtime import logs
from usher.settings import Settings, load

log = logging.getLogger(__name__)


class Stop(asyncio.Event):
    """Set by the first signal. `at_once` is set by the second: what would take its time is cut."""

    def __init__(self) -> None:
        super().__init__()
        self.at_once = asyncio.Event()

    def signal(self) -> None:
        """Take in a signal."""
        (self.at_once if self.is_set() else self).set()


Serve = Callable[[Settings, Stop], Awaitable[str | None]]
"""A service at work until it is stopped. What it gives, if anything, is said in the last line of the log."""


def main(service: str, about: str, serve: Serve) -> int:
    """Run `serve(settings, stop)` until it ends. Returns the exit code.

    SIGTERM and SIGINT set `stop`, a second one `stop.at_once`. What a person can mend is said in a sentence on
    standard error, with exit code 1.
    """
    parser = argparse.ArgumentParser(
        prog=f"python -m {service}",
        description=about,
        epilog="Settings: the file that USHER_CONFIG names, else ./usher.toml, then USHER_<SECTION>__<KEY>.",
    )
    parser.parse_args()
    logs.configure(service)
    try:
        asyncio.run(_until_signal(serve, load()))
    except UsherError as fault:
        print(f"{service}: {fault}", file=sys.stderr)  # noqa: T201 - a program's last words
        return 1
    return 0


async def _until_signal(serve: Serve, settings: Settings) -> None:
    stop = Stop()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.signal)
    said = await serve(settings, stop)
    log.info("stopped: %s" if said else "stopped%s", said or "")
