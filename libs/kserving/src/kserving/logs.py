"""Logging of a model server: as in the other servers, with fewer lines from KServe and uvicorn."""

import logging
import warnings

from fastapi.exceptions import FastAPIDeprecationWarning
from kserve.errors import InvalidInput, ModelNotFound, ModelNotReady, ServerNotReady

import runtime

# Raised by the SDK for requests that it cannot serve. The client gets an answer and may send any number of them.
REFUSALS = (InvalidInput, ModelNotFound, ModelNotReady, ServerNotReady, NotImplementedError)
LEVELS = {
    "httpx": "WARNING",
    "kserve": "WARNING",
    "kserve.trace": "WARNING",
    "uvicorn": "INFO",
    "uvicorn.access": "CRITICAL",
}


class NoRefusals(logging.Filter):
    """Filter that drops the traceback which the SDK logs for each refused request and each early probe."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether to keep the record."""
        return not (record.exc_info and isinstance(record.exc_info[1], REFUSALS))


NO_REFUSALS = NoRefusals()


def configure_logging() -> None:
    """Log one JSON object a line on stdout, whatever handlers KServe and uvicorn have installed."""
    runtime.configure_logging().addFilter(NO_REFUSALS)
    for name, level in LEVELS.items():
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.setLevel(level)
        logger.propagate = True
    # uvicorn would format an access line if any logger above it has a handler.
    logging.getLogger("uvicorn.access").propagate = False
    # The SDK triggers this warning at its first request; it cannot be fixed here.
    warnings.filterwarnings("ignore", category=FastAPIDeprecationWarning)
