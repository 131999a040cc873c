"""How a command ended: why, and the end of its output."""

import os
from collections.abc import Mapping
from pathlib import Path

from deploys.jobs import Finished, How
from deploys.output import from_character

OUTPUT_BYTES = 64 * 1024
"""How much of the output a result shows."""

NAMED = 10
"""How many processes of a stuck command its reason names."""


def finished(how: How, why: str, code: int | None, path: Path, unwritten: object) -> Finished:
    """How a command ended that wrote to the file at `path`. `unwritten` is why the end is not in it, if so."""
    output, truncated = tail(path)
    if unwritten:
        output, truncated = f"{output}(the rest of the output could not be written: {unwritten})\n", True
    if how is How.EXITED:
        if code is not None and code < 0:
            why = f"it was ended by signal {-code}"
        else:
            why = "" if code == 0 else f"exit code {code}"
    return Finished(how, why, code, output, truncated, path)


def stuck(why: str, said: Mapping[str, object], path: Path) -> Finished:
    """A command that cannot be killed, as its guard has said it. `why` is why it was to be killed, if that is known."""
    found = said["stuck"]
    pids = tuple(found) if isinstance(found, list) else ()
    user = str(said.get("user", ""))
    names = f"{'process' if len(pids) == 1 else 'processes'} {' '.join(map(str, pids[:NAMED]))}"
    what = f"{names}{f' of user {user}' if user else ''}" if pids else "the command"
    reason = f"{f'{why}; ' if why else ''}{what} cannot be killed"
    return Finished(How.STUCK, reason, log=path, pids=pids, user=user)


def tail(path: Path, size: int = OUTPUT_BYTES) -> tuple[str, bool]:
    """The last `size` bytes of a file as text, and whether it was truncated. NULs become ␀: databases refuse them."""
    try:
        with path.open("rb") as file:
            length = file.seek(0, os.SEEK_END)
            file.seek(max(0, length - size))
            data = file.read(size)
    except OSError as error:
        return f"(its output could not be read: {error})\n", False
    text = (from_character(data) if length > size else data).decode("utf-8", "replace")
    return text.replace("\0", "␀"), length > size
