"""The demo's deploy command: `python -m usher.demo.command beta.abc.wwts.com ABC-111`. It only prints and waits."""

import sys
import time

SECONDS = 4.0
STEPS = ("fetching", "building", "copying", "restarting")


def main() -> int:
    """Print the steps of a deploy."""
    server, *issues = sys.argv[1:]
    for step in STEPS:
        print(f"{step} {' '.join(issues)} for {server}", flush=True)  # noqa: T201 - the command's output
        time.sleep(SECONDS / len(STEPS))
    return 0


if __name__ == "__main__":
    sys.exit(main())
