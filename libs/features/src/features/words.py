"""Words of a text, for the model's vectoriser, which splits on white space.

One mail costs microseconds because every step over its characters runs in C: one `bytes.translate` makes letters small
and separates words. Only the few words of subject and links are handled one at a time.
"""

import re

SUBJECT_PREFIX = "subject:"
HOST_PREFIX = "host:"

LINK_LIMIT = 100
"""Most links of one mail that are read; further ones add no information."""

_SMALL = b"abcdefghijklmnopqrstuvwxyz"
_DIGITS = b"0123456789"
_LINK = re.compile(r"https?://([^\s\"'<>]{1,500}+)")
_MARKS = "\xa0\xb7\xab\xbb\u201c\u201d\u2026\u2013\u2014\u2022"


def _table(kept: bytes) -> bytes:
    """Return a table that makes letters small and keeps `kept` and bytes outside ASCII; all else separates words."""
    table = bytearray(b" " * 128) + bytearray(range(128, 256))
    for byte in kept + _SMALL:
        table[byte] = byte
    table[ord("A") : ord("Z") + 1] = _SMALL
    return bytes(table)


_SHOWN = _table(_DIGITS + b"$'")
_TAGS = _table(_DIGITS + b"$!?%#*=<:")
_QUOTES = b"\"'"
_KINDS = bytes(
    ord("A" if c.isupper() else "a" if c.islower() else "0" if c.isdecimal() else " " if c <= " " else ".")
    for c in map(chr, range(128))
) + bytes(128)


def shown(lowered: str) -> str:
    """Return lower-case text as words; punctuation separates them, but `$` and `'` belong to them."""
    if not lowered.isascii():
        lowered = lowered.replace("\u2019", "'")
        for mark in _MARKS:
            lowered = lowered.replace(mark, " ")
    return lowered.encode("utf-8", "replace").translate(_SHOWN).decode("utf-8")


def subject(text: str) -> list[str]:
    """Return a subject's words, first plain, then with the subject's prefix."""
    found = shown(text.lower()).split()
    return found + [SUBJECT_PREFIX + word for word in found]


def tags(opening: str) -> list[str]:
    """Return opening tags as words: `<name`, and `attribute=value` without quotes, split where the value is."""
    if not opening:
        return []
    return opening.encode("utf-8", "replace").translate(_TAGS, _QUOTES).decode("utf-8").split()


def kinds(text: str) -> bytes:
    """Return the kind of each ASCII character and leave out others.

    `A` is a capital, `a` a small letter, `0` a digit, `.` a symbol, and all else is blank.
    """
    return text.encode("ascii", "ignore").translate(_KINDS)


def links(*lowered: str) -> list[str]:
    """Return at most `LINK_LIMIT` different links in lower-case texts, without `http://` or `https://`."""
    found = [link for text in lowered if "http" in text for link in _LINK.findall(text)]
    return list(dict.fromkeys(found))[:LINK_LIMIT]


def host(link: str) -> str:
    """Return the host of a link without user and port, as both can be made up."""
    authority = link.partition("/")[0].partition("?")[0]
    return authority.rpartition("@")[2].partition(":")[0]


def is_ipv4(host: str) -> bool:
    """Return whether a host is a bare IPv4 address."""
    return host.count(".") == 3 and host.replace(".", "").isdecimal()


def of_hosts(hosts: list[str]) -> list[str]:
    """Return hosts of links as words: each as a whole, and each label of its name."""
    if not hosts:
        return []
    different = list(dict.fromkeys(hosts))
    return [HOST_PREFIX + name for name in different + ".".join(different).split(".")]
