"""Logging of a server: one JSON object a line on standard output.

All output of Python goes this way: this project's loggers and those of libraries, warnings, tracebacks, and printed
text.
"""

import io
import logging
import os
import signal
import sys
import threading
from functools import cache
from types import FrameType, TracebackType

from prometheus_client import REGISTRY
from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import Collector
from pythonjsonlogger.core import RESERVED_ATTRS
from pythonjsonlogger.json import JsonFormatter

from runtime.lines import Lines

STDOUT = 1
FLUSH_SECONDS = 1.0
"""Seconds at exit to write the last lines if nobody reads them."""

FORMATTER = JsonFormatter(
    "{asctime}{levelname}{name}{message}",
    style="{",
    rename_fields={"asctime": "time", "levelname": "level", "name": "logger"},
    reserved_attrs=[*RESERVED_ATTRS, "color_message"],
)

log = logging.getLogger("runtime")


class LinesHandler(logging.Handler):
    """Handler that passes records to `Lines` as JSON.

    Args:
        lines: Queue for the records.
    """

    def __init__(self, lines: Lines) -> None:
        super().__init__()
        self._lines = lines
        self.setFormatter(FORMATTER)

    def emit(self, record: logging.LogRecord) -> None:
        """Queue the record's line."""
        try:
            self._lines.add(self.format(record).encode("utf-8", "backslashreplace"))
        except Exception:
            self.handleError(record)

    def flush(self) -> None:
        """Write waiting lines; `logging` calls this when the process ends."""
        self._lines.flush(FLUSH_SECONDS)


class Printed(io.TextIOBase):
    """Stand-in for a standard stream: each printed line becomes a record."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self._log = logging.getLogger(name)
        self._begun = ""

    def writable(self) -> bool:
        """Return whether the stream can be written to."""
        return True

    def write(self, text: str) -> int:
        """Log the completed lines."""
        *lines, self._begun = (self._begun + text).split("\n")
        for line in lines:
            if line.strip():
                self._log.warning(line)
        return len(text)


class Dropped(Collector):
    """Collector of a process's metric `log_lines_dropped_total`."""

    def __init__(self, lines: Lines) -> None:
        self._lines = lines

    def collect(self) -> list[CounterMetricFamily]:
        """Return its only series."""
        text = "Log lines dropped because nobody read them, or because they could not be written."
        return [CounterMetricFamily("log_lines_dropped", text, value=self._lines.dropped)]


@cache
def stdout() -> Lines:
    """Return the queue of standard output, whose drops the process's metrics count."""
    lines = Lines(STDOUT, _told)
    REGISTRY.register(Dropped(lines))
    return lines


def configure_logging() -> logging.Handler:
    """Log to standard output for as long as this process serves, and return the handler.

    A slow or missing reader never stops the process. Call this again after a library has configured logging.
    """
    handler = _handler()
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.INFO)
    logging.captureWarnings(True)
    sys.excepthook = _uncaught
    threading.excepthook = _uncaught_in_thread
    sys.stdout, sys.stderr = Printed("stdout"), Printed("stderr")
    return handler


@cache
def _handler() -> LinesHandler:
    return LinesHandler(stdout())


def end_at_sigterm() -> None:
    """Make SIGTERM write the last lines before it ends the process; uvicorn's server raises the signal again."""
    signal.signal(signal.SIGTERM, _flush_and_end)


def _told(lines: int) -> bytes:
    text = "log lines dropped: nobody read them in time, or they could not be written"
    record = log.makeRecord(log.name, logging.WARNING, __file__, 0, text, (), None, extra={"lines": lines})
    return FORMATTER.format(record).encode()


def _uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if not issubclass(kind, KeyboardInterrupt):
        log.critical("uncaught exception", exc_info=(kind, error, trace))


def _uncaught_in_thread(args: threading.ExceptHookArgs) -> None:
    if args.exc_value is not None:
        _uncaught(args.exc_type, args.exc_value, args.exc_traceback)


def _flush_and_end(number: int, _: FrameType | None) -> None:
    logging.shutdown()
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
