"""Checks whether the deploy command can run on this machine, without running it."""

import os
import shutil
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
