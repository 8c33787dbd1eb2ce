"""Text as the words that the model's vectoriser splits on white space.

One mail costs microseconds here because every step over its characters runs in C: one `bytes.translate`
makes letters small and parts words, and no step looks at one word at a time but for the few of subject and links.
"""

import re

SUBJECT_PREFIX = "subject:"
HOST_PREFIX = "host:"

LINK_LIMIT = 100
"""Links of one mail that are looked at: more of them say nothing new."""

_SMALL = b"abcdefghijklmnopqrstuvwxyz"
_DIGITS = b"0123456789"
_LINK = re.compile(r"https?://([^\s\"'<>]{1,500}+)")
_MARKS = "\xa0\xb7\xab\xbb\u201c\u201d\u2026\u2013\u2014\u2022"


def _table(kept: bytes) -> bytes:
    """Letters become small, `kept` and bytes outside ASCII stay, all else parts words."""
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
    """Text of small letters as words; punctuation parts them, `$` and `'` belong to them."""
    if not lowered.isascii():
        lowered = lowered.replace("\u2019", "'")
        for mark in _MARKS:
            lowered = lowered.replace(mark, " ")
    return lowered.encode("utf-8", "replace").translate(_SHOWN).decode("utf-8")


def subject(text: str) -> list[str]:
    """A subject's words, as they are and marked as the subject's."""
    found = shown(text.lower()).split()
    return found + [SUBJECT_PREFIX + word for word in found]


def tags(opening: str) -> list[str]:
    """Opening tags as words: `<name`, and `attribute=value` without quotes, parted where the value is."""
    if not opening:
        return []
    return opening.encode("utf-8", "replace").translate(_TAGS, _QUOTES).decode("utf-8").split()


def kinds(text: str) -> bytes:
    """Each ASCII character's kind: `A` capital, `a` small, `0` digit, `.` symbol, blank else; others are left out."""
    return text.encode("ascii", "ignore").translate(_KINDS)


def links(*lowered: str) -> list[str]:
    """Different links in texts of small letters, without `http://` or `https://`, at most `LINK_LIMIT`."""
    found = [link for text in lowered if "http" in text for link in _LINK.findall(text)]
    return list(dict.fromkeys(found))[:LINK_LIMIT]


def host(link: str) -> str:
    """Host of a link; user and port are left out, as both can be made up."""
    authority = link.partition("/")[0].partition("?")[0]
    return authority.rpartition("@")[2].partition(":")[0]


def is_ipv4(host: str) -> bool:
    """Whether a host is a bare address in four numbers."""
    return host.count(".") == 3 and host.replace(".", "").isdecimal()


def of_hosts(hosts: list[str]) -> list[str]:
    """Hosts of links as words: each as a whole, and each label of its name."""
    if not hosts:
        return []
    different = list(dict.fromkeys(hosts))
    return [HOST_PREFIX + name for name in different + ".".join(different).split(".")]
