"""`python -m trackers`."""

import sys

from trackers.service import PURPOSE, serve
from usher.runtime.service import main

if __name__ == "__main__":
    sys.exit(main("trackers", PURPOSE, serve))
