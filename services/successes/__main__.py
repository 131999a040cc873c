"""`python -m successes`."""

import sys

from successes.service import ABOUT, serve
from usher.runtime.service import main

if __name__ == "__main__":
    sys.exit(main("successes", ABOUT, serve))
