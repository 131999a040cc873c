"""A small supervisor that runs a program, and ends it when the parent process closes the pipe or dies.

    python -I -S leash.py GRACE PROGRAM [ARGUMENT...]

The parent keeps this process's standard input open. When it closes, even because the parent was killed, the program
gets SIGTERM, and after GRACE seconds the whole process group gets SIGKILL. `usher.local.children` is the parent's side.

It imports only the standard library, so that it starts within milliseconds. It works the same on Linux and macOS.
"""

import os
import signal
import subprocess
import sys
import threading
import time


def main(grace: float, argv: list[str]) -> int:
    """Run the program until it ends or the pipe closes. Returns its exit code, as a shell would.

    The program starts with default signals, none of them blocked, however this process was started.
    """
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    try:
        # it shares this process's group, and inherits the file descriptors that the parent passed on
        program = subprocess.Popen(argv, stdin=subprocess.DEVNULL, close_fds=False)  # noqa: S603 - no shell is involved
    except OSError as error:
        print(f"cannot start {argv[0]}: {error.strerror}", file=sys.stderr)  # noqa: T201 - the program's error message
        return 127
    # handlers, not SIG_IGN, which the program would inherit
    signal.signal(signal.SIGTERM, lambda *_: program.terminate())
    signal.signal(signal.SIGINT, lambda *_: None)
    signal.signal(signal.SIGHUP, lambda *_: None)
    threading.Thread(target=watch, args=(program, grace), daemon=True).start()
    code = program.wait()
    return code if code >= 0 else 128 - code


def watch(program: subprocess.Popen[bytes], grace: float) -> None:
    """Wait until the pipe closes, then end the program and everything in its group, including this process."""
    while os.read(0, 4096):
        pass
    program.terminate()
    deadline = time.monotonic() + grace
    while program.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1]), sys.argv[2:]))
