"""Logs: one line per state change, with the id and the duration; plain text, times in UTC.

Whatever a line quotes, it stays one line: control characters are escaped. A line that repeats is left out for a while.
"""

import logging
import re
import sys
import threading
import time

BURST = 5
"""How often a line is written within SPAN. The next one after that says how many were left out."""

SPAN = 10.0
"""Seconds."""

MOST_LINES, MOST_CHARACTERS = 1000, 500
"""How many different lines are remembered, and how much of each."""

OUTSIDE = ("asyncio", "uvicorn", "usher.web")
"""Loggers of what outsiders do. They choose much of the text, so a line is the same if it has the same template."""


class Repeats(logging.Filter):
    """Lets the same line through BURST times within SPAN."""

    def __init__(self) -> None:
        super().__init__()
        self._lines: dict[object, tuple[float, int]] = {}
        self._lock = threading.Lock()

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether to write the record. Sets its `left_out`: how many like it were not written."""
        key = _sameness(record)
        with self._lock:
            since, times = self._lines.pop(key, (record.created, 0))
            record.left_out = 0
            if not 0 <= record.created - since < SPAN:
                record.left_out = max(0, times - BURST)
                since, times = record.created, 0
            self._lines[key] = since, times + 1
            if len(self._lines) > MOST_LINES:
                del self._lines[next(iter(self._lines))]
        return times < BURST


class Lines(logging.Formatter):
    """Plain text, one line per record; the lines of a traceback are indented."""

    converter = staticmethod(time.gmtime)
    default_time_format = "%Y-%m-%dT%H:%M:%S"
    default_msec_format = "%s.%03dZ"

    def __init__(self, service: str) -> None:
        super().__init__(f"%(asctime)s {service:<9} %(levelname)-7s %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        left_out = getattr(record, "left_out", 0)
        record.message = _escaped(record.message) + (f" ({left_out} more like this were left out)" if left_out else "")
        return super().formatMessage(record)

    def formatException(self, ei: object) -> str:  # noqa: N802 - logging's name
        lines = super().formatException(ei).split("\n")  # type: ignore[arg-type]
        return "\n".join(f"  {_escaped(line)}" for line in lines)


def configure(service: str, level: int = logging.INFO) -> None:
    """Log to standard error, as the given service. Only entry points call this."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(Lines(service))
    handler.addFilter(Repeats())
    logging.basicConfig(level=level, handlers=[handler], force=True)
    # no line says where in the source it comes from (https://docs.python.org/3/howto/logging.html#optimization)
    logging._srcfile = None
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    # the client libraries log each lost connection as a traceback; Usher logs its own line
    for noisy in ("aio_pika", "aiormq", "httpx", "uvicorn.access"):
        logging.getLogger(noisy).setLevel(logging.CRITICAL)
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)


def _sameness(record: logging.LogRecord) -> object:
    """What two records have in common if they are the same line."""
    outside = record.name.startswith(OUTSIDE)
    text = re.sub(r"\d+", "0", str(record.msg)) if outside else record.getMessage()
    error = repr(record.exc_info[1]) if record.exc_info else ""
    return record.name, record.levelno, text[:MOST_CHARACTERS], error[:MOST_CHARACTERS]


def _escaped(text: str) -> str:
    """Printable, on one line: a control character becomes its escape, like `\\n`."""
    return text if text.isprintable() else "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
