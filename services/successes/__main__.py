"""`python -m successes`."""

import sys

from successes.service import PURPOSE, serve
from usher.runtime.loops import run_fast
from usher.runtime.service import main

if __name__ == "__main__":
    sys.exit(main("successes", PURPOSE, serve, run_fast))
