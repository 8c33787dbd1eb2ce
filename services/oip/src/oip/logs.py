"""The log of a model server: that of our other servers, with fewer lines of KServe's and uvicorn's."""

import logging
import warnings

from fastapi.exceptions import FastAPIDeprecationWarning
from kserve.errors import InvalidInput, ModelNotFound, ModelNotReady, ServerNotReady

import runtime

# What the SDK raises for a request that it cannot serve; the client is told, and may send as many as it likes.
REFUSALS = (InvalidInput, ModelNotFound, ModelNotReady, ServerNotReady, NotImplementedError)
LEVELS = {
    "httpx": "WARNING",
    "kserve": "WARNING",
    "kserve.trace": "WARNING",
    "uvicorn": "INFO",
    "uvicorn.access": "CRITICAL",
}


class NoRefusals(logging.Filter):
    """Leaves out the traceback that the SDK logs for each request it refuses and each probe that comes early."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether to keep the record."""
        return not (record.exc_info and isinstance(record.exc_info[1], REFUSALS))


NO_REFUSALS = NoRefusals()


def configure_logging() -> None:
    """Log one JSON object a line on stdout, whatever handlers KServe and uvicorn have set up."""
    runtime.configure_logging().addFilter(NO_REFUSALS)
    for name, level in LEVELS.items():
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.setLevel(level)
        logger.propagate = True
    # uvicorn would format an access line for a logger that has any handler above it.
    logging.getLogger("uvicorn.access").propagate = False
    # The SDK's use of FastAPI, at its first request; nothing that we could fix.
    warnings.filterwarnings("ignore", category=FastAPIDeprecationWarning)
