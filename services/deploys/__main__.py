"""`python -m deploys`."""

from deploys.service import serve
from usher.runtime.service import main

if __name__ == "__main__":
    raise SystemExit(main("deploys", "Takes servers' turns and runs one command at a time for each.", serve))
