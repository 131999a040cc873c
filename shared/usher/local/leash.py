"""The leash: a small program that runs another, and ends it when whoever holds the leash lets go or dies.

    python -I -S leash.py GRACE PROGRAM [ARGUMENT...]

The holder keeps the leash's standard input open. When it closes, also because the holder was killed, the program gets
TERM, and after GRACE seconds the whole process group gets KILL. `usher.children` is the holder's side.

It imports the standard library alone, so that it starts in a few milliseconds, and works the same on Linux and macOS.
"""

import os
import signal
import subprocess
import sys
import threading
import time


def main(grace: float, argv: list[str]) -> int:
    """Run the program until it ends or nobody holds the leash. Returns its exit code, as a shell would."""
    try:
        # its group is the leash's own; open files that the holder passed on are passed on again
        program = subprocess.Popen(argv, stdin=subprocess.DEVNULL, close_fds=False)  # noqa: S603 - no shell reads it
    except OSError as error:
        print(f"{argv[0]} cannot be started: {error.strerror}", file=sys.stderr)  # noqa: T201 - a program's last words
        return 127
    # handlers, not SIG_IGN: those would be inherited
    signal.signal(signal.SIGTERM, lambda *_: program.terminate())
    signal.signal(signal.SIGINT, lambda *_: None)
    signal.signal(signal.SIGHUP, lambda *_: None)
    threading.Thread(target=watch, args=(program, grace), daemon=True).start()
    code = program.wait()
    return code if code >= 0 else 128 - code


def watch(program: subprocess.Popen[bytes], grace: float) -> None:
    """Wait until the leash is let go; then end the program and everything in its group, this process too."""
    while os.read(0, 4096):
        pass
    program.terminate()
    deadline = time.monotonic() + grace
    while program.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1]), sys.argv[2:]))
