"""Signals that ask a program to stop: Ctrl-C, SIGTERM, and a closed terminal. Only entry points use this."""

import os
import signal
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

OUTPUT = (1, 2)


def stop_signals() -> tuple[signal.Signals, ...]:
    """The signals that ask this program to stop. Unblocks all signals, and makes sure that exit codes are not lost.

    SIGINT and SIGTERM count even if they were ignored at the start: a shell ignores SIGINT for a program in the
    background. SIGHUP does not count if it was ignored: that is what nohup is for.
    """
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
        return signal.SIGTERM, signal.SIGINT
    return signal.SIGTERM, signal.SIGINT, signal.SIGHUP


@contextmanager
def interrupts() -> Iterator[None]:
    """Raise KeyboardInterrupt at each signal that asks to stop, while the block runs.

    SIGHUP raises it only if it is the first signal: a terminal that closes may send it several times. What the program
    prints after its terminal has closed is discarded.
    """
    numbers, terminals = stop_signals(), [fd for fd in OUTPUT if os.isatty(fd)]

    def interrupt(number: int, _frame: object) -> None:
        if signal.SIGHUP in numbers:
            signal.signal(signal.SIGHUP, lambda *_: _discard_output(terminals))
        if number == signal.SIGHUP:
            _discard_output(terminals)
        raise KeyboardInterrupt

    before = [signal.signal(number, interrupt) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


def _discard_output(terminals: Iterable[int]) -> None:
    """Replace each of these descriptors whose terminal has closed, so that writing to it is no error."""
    for fd in terminals:
        if not os.isatty(fd):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, fd)
            os.close(nowhere)
