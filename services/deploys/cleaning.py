"""Removes old output files: only files that Usher has named, and never the file of a command that is running."""

import asyncio
import fcntl
import logging
import os
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from usher.runtime.clock import Clock
from usher.runtime.wording import count
from usher.settings.sections import DeploysSettings

log = logging.getLogger(__name__)

EVERY = 3600.0
NAME = re.compile(r"[0-9a-f]{12}\.log")


async def keep_clean(settings: DeploysSettings, clock: Clock) -> None:
    """Remove files that are older than `keep_output`, now and then every hour. It never ends by itself."""
    keep = settings.keep_output.total_seconds()
    while True:
        removed = await asyncio.to_thread(remove_old, Path(settings.logs), clock.now() / 1000 - keep)
        if removed:
            log.info("removed %s of old output", count(removed, "file"))
        await clock.sleep(EVERY)


def remove_old(logs: Path, before: float) -> int:
    """Remove the output files in `logs` whose commands ended before that time (in s). Returns how many it removed."""
    return sum(_removed(path) for path in _files(logs) if _is_older(path, before))


def _files(logs: Path) -> Iterator[Path]:
    """The files that Usher has named: <server>/<deploy>.log. Symbolic links are not followed."""
    for server in _entries(logs):
        if server.is_dir(follow_symlinks=False):
            for file in _entries(Path(server.path)):
                if NAME.fullmatch(file.name) and file.is_file(follow_symlinks=False):
                    yield Path(file.path)


def _entries(folder: Path) -> list["os.DirEntry[str]"]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except FileNotFoundError:
        return []
    except OSError as error:
        log.warning("! %s: old output cannot be removed: %s", folder, error.strerror)
        return []


def _is_older(path: Path, before: float) -> bool:
    with suppress(OSError):
        return path.stat().st_mtime < before
    return False


def _removed(path: Path) -> bool:
    """Remove a file, unless a guard holds its lock: its command is running, although it has been silent for long."""
    try:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.unlink()
    except BlockingIOError:
        return False
    except OSError as error:
        log.warning("! %s: old output cannot be removed: %s", path, error.strerror)
        return False
    return True
