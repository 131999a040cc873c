"""Signals as an unusual parent may leave them behind, and what a process makes of them."""

import signal

EVERY = signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}


def ignore_and_block_everything() -> None:
    """In a new process, before its program starts: ignore and block every signal."""
    for number in EVERY:
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_SETMASK, EVERY)


def ignored_and_blocked(status: str) -> tuple[set[int], set[int]]:
    """The ignored and the blocked signals in the text of a file /proc/PID/status."""
    fields = dict(line.split(":", 1) for line in status.splitlines())
    masks = (int(fields[name], 16) for name in ("SigIgn", "SigBlk"))
    ignored, blocked = ({number for number in EVERY if mask >> (number - 1) & 1} for mask in masks)
    return ignored, blocked
