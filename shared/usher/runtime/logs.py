"""Logs: one line per change of state, with the id and the duration; plain text, times in UTC."""

import logging
import sys
import time


class _Lines(logging.Formatter):
    converter = staticmethod(time.gmtime)
    default_time_format = "%Y-%m-%dT%H:%M:%S"
    default_msec_format = "%s.%03dZ"

    def __init__(self, service: str) -> None:
        super().__init__(f"%(asctime)s {service:<9} %(levelname)-7s %(message)s")


def configure(service: str, level: int = logging.INFO) -> None:
    """Log that service's lines to standard error. For programs' entry points only."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Lines(service))
    logging.basicConfig(level=level, handlers=[handler], force=True)
    # a client library logs each lost connection as a traceback; Usher says it in a line of its own
    for noisy in ("aio_pika", "aiormq", "httpx", "uvicorn.access"):
        logging.getLogger(noisy).setLevel(logging.CRITICAL)
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)
