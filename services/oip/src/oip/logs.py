"""One JSON object a line on stdout, for our loggers and for those of KServe and uvicorn."""

import logging
import logging.config
import warnings
from typing import Any

from fastapi.exceptions import FastAPIDeprecationWarning
from kserve.errors import ModelNotReady
from pythonjsonlogger.core import RESERVED_ATTRS


class NoUnreadyProbes(logging.Filter):
    """Leaves out the traceback that the SDK logs for each probe that finds a model not ready."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether to keep the record."""
        return not (record.exc_info and isinstance(record.exc_info[1], ModelNotReady))


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
    "filters": {"no_unready_probes": {"()": NoUnreadyProbes}},
    "handlers": {
        "stdout": {
            "class": "logging.StreamHandler",
            "formatter": "json",
            "filters": ["no_unready_probes"],
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
