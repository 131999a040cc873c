"""Runs a service as a program: settings, logs, signals, an exit code. Only entry points use this."""

import argparse
import asyncio
import logging
import signal
import sys
from collections.abc import Awaitable, Callable, Coroutine

from usher.core.errors import UsherError
from usher.runtime import logs
from usher.runtime.signals import stop_signals
from usher.runtime.wording import harmless
from usher.settings import Settings, load

log = logging.getLogger(__name__)


class Stop(asyncio.Event):
    """Set by the first signal. The second one sets `at_once`: whatever still takes time is killed."""

    def __init__(self) -> None:
        super().__init__()
        self.at_once = asyncio.Event()

    def signal(self) -> None:
        """Record a signal."""
        (self.at_once if self.is_set() else self).set()


Serve = Callable[[Settings, Stop], Awaitable[str | None]]
"""Runs a service until it is stopped. Its result, if any, goes into the last line of the log."""

Run = Callable[[Coroutine[None, None, None]], None]
"""Runs a coroutine on an event loop."""


def main(service: str, about: str, serve: Serve, run: Run = asyncio.run) -> int:
    """Run `serve(settings, stop)` with `run` until it ends. Returns the exit code.

    SIGTERM, SIGINT and SIGHUP set `stop`. A second SIGTERM or SIGINT sets `stop.at_once`. A UsherError is printed as a
    sentence on standard error, with exit code 1.
    """
    parser = argparse.ArgumentParser(
        prog=f"python -m {service}",
        description=about,
        epilog="Settings: the file that USHER_CONFIG names, else ./usher.toml; USHER_<SECTION>__<KEY> overrides them.",
    )
    parser.parse_args()
    logs.configure(service)
    try:
        run(_until_signal(serve, load()))
    except UsherError as fault:
        print(f"{service}: {harmless(str(fault))}", file=sys.stderr)  # noqa: T201 - the program's error message
        return 1
    return 0


async def _until_signal(serve: Serve, settings: Settings) -> None:
    stop = Stop()
    loop = asyncio.get_running_loop()
    for number in stop_signals():
        # a terminal that closes may send SIGHUP several times, so it is never a second signal
        loop.add_signal_handler(number, stop.set if number == signal.SIGHUP else stop.signal)
    result = await serve(settings, stop)
    log.info("stopped: %s" if result else "stopped%s", result or "")
