"""The demo's deploy command: `python -m usher.demo.command beta.abc.wwts.com ABC-111 ABC-113`. It only takes time."""

import sys
import time

SECONDS = 4.0
STEPS = ("fetching", "building", "copying", "restarting")


def main() -> int:
    """Say what a deploy would do, step by step."""
    server, *issues = sys.argv[1:]
    for step in STEPS:
        print(f"{step} {' '.join(issues)} for {server}", flush=True)  # noqa: T201 - the command's output
        time.sleep(SECONDS / len(STEPS))
    return 0


if __name__ == "__main__":
    sys.exit(main())
