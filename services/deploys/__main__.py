"""`python -m deploys`."""

import logging
import os

from deploys.service import serve
from usher.runtime.service import main

if __name__ == "__main__":
    code = main("deploys", "Takes servers' turns, and runs one deploy command at a time per server.", serve)
    logging.shutdown()
    # without the interpreter's cleanup, in which asyncio would kill the guard of a command that cannot be killed
    os._exit(code)
