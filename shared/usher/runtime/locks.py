"""Locks of servers: one file per server, which the guard of a command holds, and the command inherits.

So on this machine, a server's lock shows whether a command of that server is left, whatever happened to the `deploys`
that started it. The file names the deploy, and the processes that could not be killed.
"""

import fcntl
import json
import os
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from usher.core.errors import UsherError
from usher.runtime.private import private, private_folder

MAX_BYTES = 4096
PAST = 50
"""How many past deploys a lock file names."""


class Locked(UsherError):
    """a command of deploy {deploy} is still running on this machine; no other command starts beside it"""


class NoLock(UsherError):
    """{path} cannot be locked ({why}); no command starts without its lock"""


@dataclass(frozen=True, slots=True)
class Locking:
    """What a server's lock says about its last command on this machine.

    `deploy` is empty if it has none yet. `pids` are processes of the user `user` that could not be killed. `past` are
    the deploys before, newest first.
    """

    held: bool = False
    deploy: str = ""
    pids: tuple[int, ...] = ()
    user: str = ""
    past: tuple[str, ...] = ()

    def shows_end_of(self, deploy: str) -> bool:
        """Whether the command of that deploy ran on this machine, and has ended."""
        return deploy in self.past or (deploy == self.deploy and not self.held)


class StillRunning(UsherError):
    """{commands}"""

    @classmethod
    def of(cls, held: Iterable[tuple[str, Locking]]) -> "StillRunning":
        """The commands that hold these servers' locks, and how a person can end them."""
        return cls(commands="; ".join(_sentence(server, locking) for server, locking in held))


class Locks(Protocol):
    """The locks of a machine."""

    def hold(self, server: str) -> AbstractContextManager[int]:
        """Lock a server's file. Yields the descriptor that the guard has to inherit while the block runs.

        Raises Locked or NoLock.
        """

    def read(self, server: str) -> Locking:
        """What a server's lock says now."""


class FileLocks:
    """Locks in the folder of the output files."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @contextmanager
    def hold(self, server: str) -> Iterator[int]:
        """See Locks. The lock lasts until the last process that inherited the descriptor has closed it (flock(2))."""
        fd = _locked(self._path(server))
        try:
            yield fd
        finally:
            os.close(fd)

    def read(self, server: str) -> Locking:
        """See Locks. A file that cannot be read says nothing."""
        try:
            with self._path(server).open("rb") as file:
                fd = file.fileno()
                return replace(_said(fd), held=_is_held(fd))
        except OSError:
            return Locking()

    def held(self) -> Iterator[tuple[str, Locking]]:
        """The servers whose locks are held."""
        for path in sorted(self._folder.glob("*/lock")):
            if (locking := self.read(path.parent.name)).held:
                yield path.parent.name, locking

    def _path(self, server: str) -> Path:
        return self._folder / server / "lock"


def _sentence(server: str, locking: Locking) -> str:
    running = f"the command of deploy {locking.deploy} of {server} is still running"
    if not locking.pids:
        return running
    pids = " ".join(map(str, locking.pids))
    return f"{running}, as user {locking.user or 'unknown'}, and could not be killed: `sudo kill -KILL {pids}` ends it"


def _locked(path: Path) -> int:
    """Open the file, lock it, and move its deploy to the past ones. Returns its descriptor. Raises Locked or NoLock."""
    try:
        private_folder(path.parent)
        fd = private(str(path), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC)
    except OSError as error:
        raise NoLock(path=path, why=error.strerror) from None
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        last = _said(fd)
        os.close(fd)
        if isinstance(error, BlockingIOError):
            raise Locked(deploy=last.deploy or "(unknown)") from None
        raise NoLock(path=path, why=error.strerror) from None
    last = _said(fd)
    past = (last.deploy, *last.past)[:PAST] if last.deploy else last.past
    data = json.dumps({"deploy": "", "past": past}).encode()
    with suppress(OSError):  # a full disk does not matter: the lock is held
        os.pwrite(fd, data, 0)
        os.ftruncate(fd, len(data))
    return fd


def _is_held(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        fcntl.flock(fd, fcntl.LOCK_UN)
    except BlockingIOError:
        return True
    return False


def _said(fd: int) -> Locking:
    """What the file says; nothing if it says nothing that makes sense."""
    with suppress(ValueError, KeyError, TypeError):
        said = json.loads(os.pread(fd, MAX_BYTES, 0))
        pids, past = tuple(map(int, said.get("pids", ()))), tuple(map(str, said.get("past", ())))
        return Locking(False, str(said["deploy"]), pids, str(said.get("user", "")), past)
    return Locking()
