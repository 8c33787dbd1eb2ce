"""One JSON object a line on stdout, for our loggers and for those of KServe and uvicorn."""

import logging
import logging.config
import warnings
from typing import Any

from fastapi.exceptions import FastAPIDeprecationWarning
from kserve.errors import InvalidInput, ModelNotFound, ModelNotReady, ServerNotReady
from pythonjsonlogger.core import RESERVED_ATTRS

# What the SDK raises for a request that it cannot serve; the client is told, and may send as many as it likes.
REFUSALS = (InvalidInput, ModelNotFound, ModelNotReady, ServerNotReady, NotImplementedError)


class NoRefusals(logging.Filter):
    """Leaves out the traceback that the SDK logs for each request it refuses and each probe that comes early."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether to keep the record."""
        return not (record.exc_info and isinstance(record.exc_info[1], REFUSALS))


LOG_CONFIG: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "json": {
            "()": "pythonjsonlogger.json.JsonFormatter",
            "fmt": "{asctime}{levelname}{name}{message}",
            "style": "{",
            "rename_fields": {"asctime": "time", "levelname": "level", "name": "logger"},
            "reserved_attrs": [*RESERVED_ATTRS, "color_message"],
        },
    },
    "filters": {"no_refusals": {"()": NoRefusals}},
    "handlers": {
        "stdout": {
            "class": "logging.StreamHandler",
            "formatter": "json",
            "filters": ["no_refusals"],
            "stream": "ext://sys.stdout",
        }
    },
    "root": {"handlers": ["stdout"], "level": "INFO"},
    "loggers": {
        "httpx": {"level": "WARNING"},
        "kserve": {"handlers": [], "level": "WARNING", "propagate": True},
        "kserve.trace": {"handlers": [], "level": "WARNING", "propagate": True},
        "uvicorn": {"handlers": [], "level": "INFO", "propagate": True},
        "uvicorn.access": {"handlers": [], "level": "CRITICAL", "propagate": False},
    },
}


def configure_logging() -> None:
    """Log one JSON object a line on stdout."""
    logging.config.dictConfig(LOG_CONFIG)
    # The SDK's use of FastAPI, at its first request; nothing that we could mend.
    warnings.filterwarnings("ignore", category=FastAPIDeprecationWarning)
