"""How a service's program runs: settings, logs, signals, an exit code. Only entry points use this."""

import argparse
import asyncio
import logging
import signal
import sys
from collections.abc import Awaitable, Callable, Coroutine

from usher import logs
from usher.errors import UsherError
from usher.settings import Settings, load

Serve = Callable[[Settings, asyncio.Event], Awaitable[None]]
log = logging.getLogger(__name__)


def main(service: str, about: str, serve: Serve) -> int:
    """Run `serve(settings, stop)` until it ends; SIGTERM and SIGINT set `stop`. Returns the exit code.

    What a person can mend is said in a sentence on standard error, with exit code 1.
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


async def together(stop: asyncio.Event, *parts: Coroutine[None, None, None]) -> None:
    """Run all parts. When one ends, `stop` is set and the others are waited for; the first error is raised."""
    tasks = [asyncio.create_task(part) for part in parts]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        stop.set()
        results = await asyncio.gather(*tasks, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result


async def _until_signal(serve: Serve, settings: Settings) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await serve(settings, stop)
    log.info("stopped")
