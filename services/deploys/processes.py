"""What the guard needs to know about processes and signals. It imports only the standard library, like the guard."""

import ctypes
import os
import pwd
import signal
import sys

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
LINUX = sys.platform == "linux"


def prctl(option: int, value: int) -> None:
    """Call prctl(2) on Linux; do nothing elsewhere."""
    if LINUX:
        ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0)


def default_signals() -> None:
    """Give every signal its default disposition and block none, however this process was started.

    A process inherits ignored and blocked signals: a shell's `&` ignores SIGINT, nohup ignores SIGHUP.
    """
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def begin_command() -> None:
    """In the command's process, before its program starts: if the guard is killed, the kernel kills the command."""
    prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    default_signals()


def descendants() -> list[int]:
    """All descendants of this process, to be signalled. A process that forks fast enough may be missed."""
    parents: dict[int, int] = {}
    for name in os.listdir("/proc") if LINUX else ():
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat", "rb") as file:
                    parents[int(name)] = int(file.read().rpartition(b")")[2].split()[1])
            except OSError:
                continue
    found = {os.getpid()}
    while more := {child for child, parent in parents.items() if parent in found and child not in found}:
        found |= more
    return sorted(found - {os.getpid()})


def signalled(pid: int, number: int) -> bool:
    """Send a signal. Returns False if the process refuses it, because it belongs to another user."""
    try:
        os.kill(pid, number)
    except PermissionError:
        return False
    except OSError:
        pass
    return True


def user_of(pid: int) -> str:
    """The name of the user whose process that is, or the number; empty if the process has ended."""
    try:
        uid = os.stat(f"/proc/{pid}").st_uid
    except OSError:
        return ""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
