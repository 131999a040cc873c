"""A terminal for a real program, which a test can close as a user closes a window."""

import fcntl
import os
import pty
import termios
from contextlib import suppress
from types import TracebackType
from typing import Any, Self


class Terminal:
    """A pseudo-terminal. `options` are Popen's, for the program that it controls."""

    def __init__(self) -> None:
        self._ours, self._theirs = pty.openpty()
        self._open = True
        self.shown = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()
        os.close(self._theirs)

    def options(self) -> dict[str, Any]:
        """Start a program with these, and its session has this terminal."""
        theirs = self._theirs
        return {
            "stdin": theirs,
            "stdout": theirs,
            "stderr": theirs,
            "start_new_session": True,
            "preexec_fn": lambda: fcntl.ioctl(theirs, termios.TIOCSCTTY, 0),
        }

    def until(self, text: str) -> None:
        """Read until the program has shown this text."""
        while text.encode() not in self.shown:
            self.shown += os.read(self._ours, 4096)

    def close(self) -> None:
        """Close it. The kernel sends SIGHUP to the programs in its foreground, and their writes fail."""
        if self._open:
            self._open = False
            with suppress(OSError):
                os.close(self._ours)
