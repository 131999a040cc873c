"""Writes a command's output into its file, up to a limit. It is part of the guard: only the standard library.

The command writes into a pipe, and a thread of the guard copies the pipe into the file. So neither the limit nor a full
disk fails the command, and a slow disk cannot keep the guard from stopping it. Of output that is longer than the limit,
the file contains the beginning, a line that says so, and the end.
"""

import codecs
import contextlib
import fcntl
import os
import select
import threading

CHUNK = 64 * 1024
KEPT = 64 * 1024 + 3
"""How much of the end is kept, in bytes: the 64 KiB that a result shows, and the rest of a character before them."""

MAX_LEFT = 1024 * 1024
"""How much a pipe can contain, in bytes."""

TOO_LONG = "it is longer than [deploys] output_limit"


class LimitedFile:
    """A file that takes any amount of output. `fault` is why some of it could not be written, or None."""

    def __init__(self, path: str, limit: int) -> None:
        """Create it for its owner only, and lock it until this process ends. Raises OSError."""
        self._fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        with contextlib.suppress(OSError):  # some file systems have no locks
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        self.fault: str | None = None
        self._room = limit
        self._partial = b""
        self._end = bytearray()
        self._truncated = False

    def write(self, data: bytes) -> None:
        """Write what still fits, and keep the end of the rest. No character is divided."""
        data = self._partial + data
        data, self._partial = whole_characters(data)
        fits = data
        if len(data) > self._room:
            fits, _ = whole_characters(data[: self._room])
            self._room = len(fits)
        self._room -= len(fits)
        self._end += data[self._append(fits) :]
        if len(self._end) > KEPT + CHUNK:
            del self._end[:-KEPT]
            if not self._truncated and not self.fault:
                self._append(missing(TOO_LONG))
            self._truncated = True

    def finish(self) -> None:
        """Write the end that was kept, even if the disk was full before."""
        self._end += self._partial
        fault, self.fault = self.fault, None
        if not self._truncated:
            self._append(bytes(self._end))
            return
        if fault:
            self._append(missing(fault))
        self._append(from_character(bytes(self._end[-KEPT:])))

    def touch(self) -> None:
        """Note the time: a file is kept for a while after its command has ended."""
        with contextlib.suppress(OSError):
            os.utime(self._fd)

    def _append(self, data: bytes) -> int:
        """Append data, and return how much of it was written: all of it unless there is a fault."""
        written = 0
        try:
            while not self.fault and written < len(data):
                written += os.write(self._fd, data[written:])
        except OSError as error:
            self.fault, self._room = error.strerror, 0
        return written


class Output:
    """The output of one command: a pipe for the command, and a thread that copies it into the file."""

    def __init__(self, path: str, limit: int) -> None:
        """Open the file, which takes about `limit` bytes. Raises OSError."""
        self._file = LimitedFile(path, limit)
        self._pipe, self.for_command = os.pipe()
        self._over, self._over_in = os.pipe()
        self._thread = threading.Thread(target=self._copy, daemon=True)

    def begin(self) -> None:
        """Copy what the command writes. It has been started with `for_command`."""
        os.close(self.for_command)
        os.set_blocking(self._pipe, False)
        self._thread.start()

    def end(self) -> str | None:
        """Copy what is left, once the command is over. A process that still holds the pipe is not waited for.

        Returns why the end of the output is not in the file, or None.
        """
        os.close(self._over_in)
        self._thread.join()
        self._file.touch()
        return self._file.fault

    def _copy(self) -> None:
        over, left = False, MAX_LEFT
        while left > 0:
            if not over:
                over = self._over in select.select([self._pipe, self._over], [], [])[0]
            try:
                data = os.read(self._pipe, CHUNK)
            except BlockingIOError:
                if over:
                    break
                continue
            if not data:
                break
            self._file.write(data)
            left -= len(data) if over else 0
        self._file.finish()


def missing(why: str) -> bytes:
    """The line that stands for output that is not in the file."""
    return f"\n[Usher: output is missing here: {why}]\n".encode()


def whole_characters(data: bytes) -> tuple[bytes, bytes]:
    """Divide UTF-8 text before a character at its end that is not complete. Other data is not divided."""
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    decoder.decode(data[-4:])
    at = len(data) - len(decoder.getstate()[0])
    return data[:at], data[at:]


def from_character(data: bytes) -> bytes:
    """UTF-8 text without the rest of a character at its beginning."""
    start = 0
    while start < min(3, len(data)) and data[start] & 0xC0 == 0x80:
        start += 1
    return data[start:]
