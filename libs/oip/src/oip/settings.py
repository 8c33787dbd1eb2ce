"""Settings of a model server, read from environment variables."""

import logging
import sys
from collections.abc import Callable
from typing import TypeVar

from pydantic import BaseModel, ValidationError

log = logging.getLogger("oip")

Settings = TypeVar("Settings", bound=BaseModel)


def read_settings(read: Callable[[], Settings]) -> Settings:
    """Return the settings. An invalid one ends the process with one line that names the variable."""
    try:
        return read()
    except ValidationError as error:
        wrong = [f"{'.'.join(map(str, each['loc'])).upper()}: {each['msg']}" for each in error.errors()]
        log.error("settings refused", extra={"reason": "; ".join(wrong)})
        sys.exit(2)
