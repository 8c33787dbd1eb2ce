"""Words of a text, for the model's vectoriser, which splits on white space.

A word is a run of letters, digits and currency signs, with apostrophes inside. All else parts words: punctuation,
symbols, emoji and blanks of any script. Characters that nobody sees are left out. Text without blanks between words,
such as Chinese, has one word between two marks.

One mail costs microseconds because every step over its characters runs in C: one `bytes.translate` makes letters small
and separates words. Only the few words of subject and links are handled one at a time.
"""

import unicodedata
from functools import lru_cache

SUBJECT_PREFIX = "subject:"
HOST_PREFIX = "host:"

REPLACED_LIMIT = 32
"""Most different marks outside ASCII that are replaced one by one; for more, one pass over the text is faster."""

_SMALL = b"abcdefghijklmnopqrstuvwxyz"
_DIGITS = b"0123456789"
_ASCII = bytes(range(128))
_APOSTROPHES = "\u2018\u2019\u02bc\uff07"


def _table(kept: bytes) -> bytes:
    """Return a table that makes letters small and keeps `kept` and bytes outside ASCII; all else separates words."""
    table = bytearray(b" " * 128) + bytearray(range(128, 256))
    for byte in kept + _SMALL:
        table[byte] = byte
    table[ord("A") : ord("Z") + 1] = _SMALL
    return bytes(table)


_SHOWN = _table(_DIGITS + b"$'")
_KINDS = bytes(
    ord("A" if c.isupper() else "a" if c.islower() else "0" if c.isdecimal() else " " if c <= " " else ".")
    for c in map(chr, range(128))
) + bytes(128)


def shown(lowered: str) -> str:
    """Return lower-case text as words separated by blanks."""
    if not lowered.isascii():
        lowered = _plain(lowered)
    found = lowered.encode("utf-8", "replace").translate(_SHOWN).decode("utf-8")
    return _without_quotes(found) if "'" in found else found


def _without_quotes(found: str) -> str:
    """Return words without the apostrophes around them that are quotation marks."""
    return found.replace(" '", " ").replace("' ", " ").strip("'")


def _plain(text: str) -> str:
    """Return text with the marks outside ASCII replaced by what they mean for words."""
    marks = [mark for mark in rare(text) if _meaning(mark) != mark]
    if len(marks) > REPLACED_LIMIT:
        return text.translate({ord(mark): _meaning(mark) for mark in marks})
    for mark in marks:
        text = text.replace(mark, _meaning(mark))
    return text


def rare(text: str) -> set[str]:
    """Return the different characters of a text outside ASCII, surrogates excepted."""
    return set(text.encode("utf-8", "ignore").translate(None, _ASCII).decode("utf-8"))


@lru_cache(maxsize=4096)
def _meaning(character: str) -> str:
    """Return a character if it belongs to words, else "'", a blank, or "" if nobody sees it."""
    if character in _APOSTROPHES:
        return "'"
    if "\ufe00" <= character <= "\ufe0f" or character == "\u20e3":
        return ""
    if "\u3200" <= character <= "\u33ff":
        return character  # CJK words in one character: abbreviations of firms, units and eras
    category = unicodedata.category(character)
    if category == "Cf":
        return ""
    return character if category[0] in "LMN" or category == "Sc" else " "


def subject(text: str) -> list[str]:
    """Return a subject's words in lower case."""
    return shown(text.lower()).split()


def of_subject(found: list[str]) -> list[str]:
    """Return a subject's words, first plain, then with the subject's prefix."""
    return found + [SUBJECT_PREFIX + word for word in found]


def kinds(text: str) -> bytes:
    """Return the kind of each ASCII character and leave out others.

    `A` is a capital, `a` a small letter, `0` a digit, `.` a symbol, and all else is blank.
    """
    return text.encode("ascii", "ignore").translate(_KINDS)


def of_hosts(names: list[str], addresses: list[str]) -> list[str]:
    """Return hosts of links as words: each as a whole, and each label of a name, but no part of an IP address."""
    found = names + addresses
    if names:
        found += ".".join(names).split(".")
    return [HOST_PREFIX + name for name in found]
