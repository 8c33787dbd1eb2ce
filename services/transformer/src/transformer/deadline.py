"""How long a request's sender waits: it says so, and whoever is asked next is granted less.

So the answer that names the slow hop is there before the sender gives up.
"""

import math
from time import monotonic

from oip import InvalidInput

HEADER = "X-Deadline-Ms"
"""Milliseconds from the request's arrival until its sender waits no more; without it, only settings bound a request."""
MAX_MS = 3_600_000
MARGIN_SHARE = 0.1
MARGIN_SECONDS = 0.25
"""What is kept of it for the way back: a tenth, at most so much."""


def read_deadline(headers: dict[str, str] | None) -> float:
    """Until when the predictor's answer is of use, on the clock `time.monotonic`; infinite when nobody says.

    Args:
        headers: Of the request, names in lower case.

    Raises:
        InvalidInput: The header is no number of milliseconds.
    """
    value = (headers or {}).get(HEADER.lower())
    if value is None:
        return math.inf
    if not (value.isascii() and value.isdigit() and len(value) <= len(str(MAX_MS)) and 0 < int(value) <= MAX_MS):
        raise InvalidInput(f"header {HEADER} is {value[:50]!r}; expected 1 to {MAX_MS} milliseconds")
    seconds = int(value) / 1000
    return monotonic() + seconds - min(MARGIN_SHARE * seconds, MARGIN_SECONDS)
