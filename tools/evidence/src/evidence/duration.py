"""Durations as people write them."""

import re
from datetime import timedelta

EXPECTED = "a duration such as 90s, 15m, 6h or 7d"
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def parse_duration(text: str) -> timedelta:
    """Return the duration that a text names.

    Raises:
        ValueError: If the text names none.
    """
    found = re.fullmatch(r"([0-9]{1,6})([smhd])", text)
    if not found:
        raise ValueError(f"{text!r} is no {EXPECTED.removeprefix('a ')}")
    return timedelta(**{_UNITS[found[2]]: int(found[1])})
