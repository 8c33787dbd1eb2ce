"""Settings errors: one log line that names each wrong variable, then exit code 2."""

import logging
import sys
from collections.abc import Callable
from typing import NoReturn, TypeVar

log = logging.getLogger("runtime")

REFUSED = 2
"""Exit code of a process whose settings are wrong."""

Read = TypeVar("Read")


def read_settings(read: Callable[[], Read]) -> Read:
    """Return the settings. Wrong ones end the process.

    Args:
        read: Reads them; raises ValidationError of pydantic or SettingsError of pydantic-settings, both ValueErrors.
    """
    try:
        return read()
    except ValueError as error:
        refuse_settings(settings_fault(error))


def refuse_settings(reason: str) -> NoReturn:
    """Log why the settings are wrong and end the process."""
    log.error("settings refused", extra={"reason": reason})
    sys.exit(REFUSED)


def settings_fault(error: ValueError) -> str:
    """Return which variables are wrong and why, in one line.

    It reads the errors of both major versions of pydantic and imports neither.
    """
    errors = getattr(error, "errors", None)
    if errors is None:
        # SettingsError names the field; its cause says why.
        return ": ".join(str(each) for each in (error, error.__cause__) if each is not None)
    return "; ".join(": ".join([*map(_variable, each["loc"][:1]), each["msg"]]) for each in errors())


def _variable(field: int | str) -> str:
    return str(field).upper()
