"""`python -m usher` is the `usher` command. Without arguments it is `usher up`."""

import sys

from usher.cli import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:] or ["up"]))
