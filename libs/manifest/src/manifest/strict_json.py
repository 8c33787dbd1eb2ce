"""Strict JSON with one meaning: UTF-8, no repeated names, finite numbers, printable text."""

import json
import math
from collections import Counter
from typing import Any

MAX_DEPTH = 8
"""Most levels of objects and arrays; a manifest has five."""
MAX_TEXT = 1024
"""Most characters of one text or name."""
MAX_DIGITS = 18
"""Most digits of a whole number, so that it fits 64 bits."""


def loads(content: bytes) -> Any:
    """Return the value of a JSON document.

    Raises:
        ValueError: If the content is not UTF-8 or not JSON, repeats a name, is nested too deeply, or holds a number or
            text outside the limits. The message is one short line.
    """
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        raise ValueError(f"byte {error.start} is not UTF-8") from None
    if text.startswith("\ufeff"):
        raise ValueError("it begins with a byte order mark")
    try:
        found = json.loads(
            text, object_pairs_hook=_object, parse_constant=_constant, parse_int=_int, parse_float=_float
        )
    except RecursionError:
        raise ValueError(f"it is nested deeper than {MAX_DEPTH} levels") from None
    _check(found)
    return found


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        # Parsers differ in which of the two they use.
        twice = Counter(name for name, _ in pairs).most_common(1)[0][0]
        raise ValueError(f"an object has the name {shown(twice)} twice")
    return found


def _constant(name: str) -> float:
    raise ValueError(f"{name} is no number of JSON")


def _int(digits: str) -> int:
    if len(digits.lstrip("-")) > MAX_DIGITS:
        raise ValueError(f"a number has {len(digits.lstrip('-'))} digits; at most {MAX_DIGITS} are allowed")
    return int(digits)


def _float(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"the number {shown(text)} is out of range")
    return value


def _check(document: Any) -> None:
    """Limit depth and texts; not recursively, because the depth is still unknown."""
    level = [document]
    for _ in range(MAX_DEPTH):
        for value in level:
            _check_texts(value)
        level = [inner for value in level for inner in _inside(value)]
    if level:
        raise ValueError(f"it is nested deeper than {MAX_DEPTH} levels")


def _inside(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []


def _check_texts(value: Any) -> None:
    for text in value if isinstance(value, dict) else [value]:
        if isinstance(text, str) and not (len(text) <= MAX_TEXT and text.isprintable()):
            raise ValueError(f"a text is longer than {MAX_TEXT} characters or cannot be printed: {shown(text)}")


def shown(value: object) -> str:
    """Return a value for an error message: one line, printable, at most 60 characters."""
    text = ascii(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
