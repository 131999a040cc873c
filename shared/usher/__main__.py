"""`python -m usher` is `usher up`; with arguments it is the `usher` command."""

import sys

from usher.cli import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:] or ["up"]))
