"""Files and folders that only their owner can read: passwords, the ledger, the output of commands.

Each is created with its mode, so that the umask of this process stays the user's: commands inherit it.
"""

import os
import stat
from contextlib import suppress
from pathlib import Path

FOLDER, FILE = 0o700, 0o600
OWN_FOLDER = ".usher"
"""The folder in which Usher keeps its own files, unless the settings say otherwise."""


def private_folder(path: Path) -> None:
    """Create a folder and its missing parents for their owner only. Raises OSError.

    Other folders that exist keep their modes, but `.usher` is closed to others: see `close_to_others`.
    """
    for folder in reversed((path, *path.parents)):
        folder.mkdir(FOLDER, exist_ok=True)
    close_own_folder(path)


def close_own_folder(path: Path) -> None:
    """Close the folder `.usher` to others, if the path leads through it: earlier versions left it open."""
    for folder in (path, *path.parents):
        if folder.name == OWN_FOLDER:
            close_to_others(folder)


def close_to_others(path: Path) -> None:
    """Let only the owner use a file or folder that everybody can use. A group that its owner has chosen keeps it."""
    with suppress(FileNotFoundError, PermissionError):
        mode = path.stat().st_mode
        if mode & stat.S_IRWXO:
            path.chmod(FOLDER if stat.S_ISDIR(mode) else FILE)


def private(path: str, flags: int) -> int:
    """The `opener` with which `open` creates a file that only its owner can read."""
    return os.open(path, flags, FILE)


def private_file(path: Path) -> None:
    """Create an empty file that only its owner can read, if there is none. Raises OSError."""
    os.close(private(str(path), os.O_WRONLY | os.O_CREAT))


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner can read, whatever its mode was. Raises OSError."""
    private_file(path)
    path.chmod(FILE)
    path.write_text(text)
