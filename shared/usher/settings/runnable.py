"""Whether the command that the settings name can run on this machine, as far as a look can tell."""

import os
import shutil
from pathlib import Path

from usher.core.errors import SettingsError
from usher.settings.sections import DeploysSettings


class NotRunnable(SettingsError):
    """[deploys] {says}; {do}"""


def check_runnable(settings: DeploysSettings, path: str) -> None:
    """Look for the command's folder, and for its program there and along `path` (a PATH).

    Raises NotRunnable, naming what is missing. A program whose name holds a placeholder is not looked for.
    """
    folder = Path(settings.cwd)
    if not folder.is_dir():
        raise NotRunnable(says=f"cwd: there is no folder {folder}", do="create it, or name another")
    program = settings.command[0] if settings.command else None
    if program is None or "{" in program:
        return
    if not shutil.which(program, path=path) and not os.access(folder / program, os.X_OK):
        if (folder / program).is_file():
            raise NotRunnable(says=f"command: {program} may not be executed", do=f"chmod +x {folder / program}")
        where = (
            f"there is no file {program}" if os.sep in program else f"there is no program {program} on PATH ({path})"
        )
        raise NotRunnable(says=f"command: {where}", do="install it, or name its whole path")
