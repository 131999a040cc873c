"""One `usher up` per directory. A second one says what is running already, and where."""

import fcntl
import json
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from usher.core.errors import ServiceError
from usher.runtime.private import private, private_folder
from usher.up.supervisor import Program

FILE = "up.lock"
TRIES, PAUSE = 20, 0.05


@contextmanager
def claimed(folder: Path, wanted: Sequence[Program]) -> Iterator[None]:
    """Hold the lock in `folder` while the block runs. Raises ServiceError if another process holds it.

    If the folder cannot be written, there is no lock: with a broker and a ledger elsewhere, Usher needs no file.
    """
    try:
        private_folder(folder)
        lock = private(str(folder / FILE), os.O_RDWR | os.O_CREAT)
    except OSError:
        yield
        return
    with os.fdopen(lock, "r+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ServiceError(why=_already_running(folder, file)) from None
        file.truncate()
        json.dump({"process": os.getpid(), "urls": {program.name: program.url for program in wanted}}, file)
        file.flush()
        try:
            yield
        finally:
            os.ftruncate(lock, 0)


def _already_running(folder: Path, file: TextIO) -> str:
    """What the process that holds the lock says about itself. It does so as soon as it has the lock."""
    here = f"Usher is already running in {folder.absolute().parent}"
    stop = "`usher servers` shows what it does. To stop it, press Ctrl-C in its terminal"
    for _ in range(TRIES):
        file.seek(0)
        try:
            known = json.loads(file.read())
            process, urls = int(known["process"]), known["urls"]
            where = f"webhooks at {urls['trackers']}/webhooks/jira, API at {urls['successes']}/docs"
        except (ValueError, KeyError, TypeError):
            time.sleep(PAUSE)
        else:
            return f"{here} (process {process}): {where}. {stop}, or run `kill {process}`"
    return f"{here}. {stop}"
