"""Checks whether the deploy command can run on this machine, without running it."""

import os
import shutil
import stat
from pathlib import Path

from usher.core.errors import SettingsError
from usher.settings.sections import DeploysSettings


class NotRunnable(SettingsError):
    """[deploys] {says}; {do}"""


def check_runnable(settings: DeploysSettings, path: str) -> None:
    """Check that the command's working directory and its program (there or on `path`, a PATH) exist.

    Raises NotRunnable, which names what is missing. A program name with a placeholder is not checked.
    """
    folder = Path(settings.cwd)
    if not folder.is_dir():
        raise NotRunnable(says=f"cwd: there is no directory {folder}", do="create it, or choose another")
    program = settings.command[0] if settings.command else None
    if program is None or "{" in program:
        return
    if not shutil.which(program, path=path) and not os.access(folder / program, os.X_OK):
        if (folder / program).is_file():
            raise NotRunnable(says=f"command: {program} is not executable", do=f"chmod +x {folder / program}")
        where = (
            f"there is no file {program}" if os.sep in program else f"there is no program {program} on PATH ({path})"
        )
        raise NotRunnable(says=f"command: {where}", do="install it, or use its full path")


def unkillable(settings: DeploysSettings, path: str) -> str | None:
    """Why Usher may not be able to kill the command; None if it can.

    The program (on `path`, a PATH) is a setuid program, like sudo: it becomes another user, who this one cannot signal.
    """
    program = settings.command[0] if settings.command else ""
    found = shutil.which(program, path=path) or str(Path(settings.cwd) / program)
    try:
        facts = os.stat(found)
    except OSError:
        return None
    if os.geteuid() == 0 or not facts.st_mode & stat.S_ISUID or facts.st_uid == os.geteuid():
        return None
    return f"command: {program} becomes another user, so Usher cannot kill it: no time limit holds, and no stop"
