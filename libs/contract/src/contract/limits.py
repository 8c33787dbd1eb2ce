"""Limits of answers between the hops. A hop checks what it gets, whoever sent it."""

import re

LONGEST_VERSION = 128
"""Characters of a model version at most."""
SHA256 = re.compile("[0-9a-f]{64}")
"""Pattern of a SHA-256 in hexadecimal."""
ANSWER_BYTES = 65_536
"""Bytes of an answer at most, besides those for each mail."""
ANSWER_BYTES_PER_MAIL = 256
"""Bytes that an answer may have for each mail; the hops' own answers have 40 to 45."""
MAX_DEADLINE_MS = 3_600_000
"""Largest value of the header `X-Deadline-Ms`."""


def is_probability(value: object) -> bool:
    """Return whether a value of JSON is a number between 0 and 1."""
    # Python's bool is an int, but not a probability.
    return type(value) in (float, int) and 0 <= value <= 1  # type: ignore[operator]
