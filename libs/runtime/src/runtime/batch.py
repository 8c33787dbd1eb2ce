"""Logging of a batch program, which does one thing and ends, and may wait for its reader.

Its results are in its files and its exit code. If the reader is gone or the disk is full, only log lines are lost, and
standard error reports this once.
"""

import atexit
import logging
import os
import sys
from collections import Counter
from typing import TextIO

from runtime.logs import FORMATTER


class BatchHandler(logging.Handler):
    """Handler that writes records to a standard stream as JSON, by `say`.

    Args:
        name: "stdout" or "stderr".
    """

    def __init__(self, name: str) -> None:
        super().__init__()
        self._name = name
        self.setFormatter(FORMATTER)

    def emit(self, record: logging.LogRecord) -> None:
        """Write the record's line."""
        try:
            say(self._name, self.format(record))
        except Exception:
            self.handleError(record)


def configure_batch_logging(name: str = "stdout") -> None:
    """Log one JSON object a line to this standard stream, library warnings included."""
    root = logging.getLogger()
    root.handlers[:] = [BatchHandler(name)]
    root.setLevel(logging.INFO)
    logging.captureWarnings(True)


def print_result(text: str) -> None:
    """Print a line on standard output, as `say` does."""
    say("stdout", text)


def say(name: str, text: str) -> None:
    """Write a line to a standard stream.

    Lines that cannot be written are counted and reported when the program ends.
    """
    # Looked up each time, since a test's capture replaces the stream.
    stream: TextIO | None = getattr(sys, name)
    if stream is None:
        return
    try:
        stream.write(text + "\n")
        stream.flush()
    except OSError as error:
        _lose(name, error)


_lost: Counter[tuple[str, str]] = Counter()
"""Maps stream and reason to the number of lines that could not be written."""


def _lose(name: str, error: OSError) -> None:
    if not _lost:
        atexit.register(_end)
    _lost[name, error.strerror or str(error)] += 1


def _end() -> None:
    """Report the lost lines, and discard buffered output that Python would try to write again at exit."""
    lost = [f"{lines} lines could not be written to {name}: {reason}" for (name, reason), lines in _lost.items()]
    for name, _ in _lost:
        _discard(getattr(sys, name))
    try:
        print(f"{os.path.basename(sys.argv[0])}: {'; '.join(lost)}", file=sys.stderr, flush=True)
    except OSError:
        _discard(sys.stderr)


def _discard(stream: TextIO) -> None:
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, stream.fileno())
    os.close(null)
