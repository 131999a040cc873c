"""`python -m deploys`."""

from deploys.service import serve
from usher.runtime.service import main

if __name__ == "__main__":
    raise SystemExit(main("deploys", "Takes servers' turns, and runs one deploy command at a time per server.", serve))
