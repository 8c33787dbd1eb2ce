"""Deadlines of requests: the sender says how long it waits, and the next hop gets less time.

So the answer that names the slow hop arrives before the sender gives up.
"""

import math
from time import monotonic

from contract.headers import DEADLINE
from contract.limits import MAX_DEADLINE_MS
from kserving import InvalidInput

MARGIN_SHARE = 0.1
MARGIN_SECONDS = 0.25
"""Time reserved for the way back: this share of the deadline, and at most these seconds."""


def read_deadline(headers: dict[str, str] | None) -> float:
    """Return the time on the clock `time.monotonic` until which an answer is of use; infinite without the header.

    Args:
        headers: Headers of the request, with names in lower case.

    Raises:
        InvalidInput: The header is not a valid number of milliseconds.
    """
    value = (headers or {}).get(DEADLINE.lower())
    if value is None:
        return math.inf
    if not (
        value.isascii()
        and value.isdigit()
        and len(value) <= len(str(MAX_DEADLINE_MS))
        and 0 < int(value) <= MAX_DEADLINE_MS
    ):
        raise InvalidInput(f"header {DEADLINE} is {value[:50]!r}; expected 1 to {MAX_DEADLINE_MS} milliseconds")
    seconds = int(value) / 1000
    return monotonic() + seconds - min(MARGIN_SHARE * seconds, MARGIN_SECONDS)
