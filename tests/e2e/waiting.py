"""Waiting for conditions, never for a fixed time."""

import logging
import time
from collections.abc import Callable
from typing import TypeVar

log = logging.getLogger("e2e")

POLL_SECONDS = 0.5
PROGRESS_SECONDS = 10.0

T = TypeVar("T")


class Pending(Exception):
    """Condition that does not hold yet; the message says what is the case instead."""


def until(what: str, condition: Callable[[], T], seconds: float) -> T:
    """Try until the condition no longer raises `Pending`; print progress meanwhile.

    Raises:
        AssertionError: If the condition does not hold in time; the message says what was last the case.
    """
    started = told = time.monotonic()
    while True:
        try:
            found = condition()
        except Pending as pending:
            now = time.monotonic()
            if now > started + seconds:
                raise AssertionError(f"{what}: not within {seconds:.0f} s; at last: {pending}") from None
            if now > told + PROGRESS_SECONDS:
                log.info("%s: %.0f s, %s", what, now - started, pending)
                told = now
            time.sleep(POLL_SECONDS)
        else:
            log.info("%s: after %.1f s", what, time.monotonic() - started)
            return found
