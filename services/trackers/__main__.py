"""`python -m trackers`."""

import sys

from trackers.service import PURPOSE, serve
from usher.runtime.loops import run_fast
from usher.runtime.service import main

if __name__ == "__main__":
    sys.exit(main("trackers", PURPOSE, serve, run_fast))
