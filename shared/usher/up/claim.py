"""One `usher up` per directory. A second one says what is running already, and where."""

import fcntl
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from usher.core.errors import ServiceError
from usher.runtime.private import private, private_folder
from usher.up.supervisor import Program

FILE = "up.lock"


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
            raise ServiceError(why=_already_running(folder, file.read())) from None
        file.truncate()
        json.dump({"process": os.getpid(), "urls": {program.name: program.url for program in wanted}}, file)
        file.flush()
        yield


def _already_running(folder: Path, text: str) -> str:
    """What another process that holds the lock says about itself. It may not have written it yet."""
    here = f"Usher is already running in {folder.absolute().parent}"
    stop = "`usher servers` shows what it does. To stop it, press Ctrl-C in its terminal"
    try:
        known = json.loads(text)
        process, urls = int(known["process"]), known["urls"]
        where = f"webhooks at {urls['trackers']}/webhooks/jira, API at {urls['successes']}/docs"
    except (ValueError, KeyError, TypeError):
        return f"{here}. {stop}"
    return f"{here} (process {process}): {where}. {stop}, or run `kill {process}`"
