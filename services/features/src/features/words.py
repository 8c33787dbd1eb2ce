"""Text as the words that the model's vectoriser splits on white space.

One mail costs microseconds here because every step over its characters runs in C: one `bytes.translate`
makes letters small and parts words, and no step looks at one word at a time but for the few of subject and links.
"""

import re

SUBJECT_PREFIX = "subject:"
HOST_PREFIX = "host:"
PATH_PREFIX = "path:"

LINK_LIMIT = 200
"""Links of one mail that are looked at: more of them say nothing new."""
PATH_WORD_LIMIT = 6
CAPITAL_WORD_LENGTH = 3

_SMALL = b"abcdefghijklmnopqrstuvwxyz"
_DIGITS = b"0123456789"
_LINK = re.compile(r"https?://([^\s\"'<>]{1,500}+)")
_PATH_BREAK = re.compile(r"[/?&=]+")
_MARKS = "\xa0\xb7\xab\xbb\u201c\u201d\u2026\u2013\u2014\u2022"


def _table(kept: bytes) -> bytes:
    """Letters become small, `kept` and bytes outside ASCII stay, all else parts words."""
    table = bytearray(b" " * 128) + bytearray(range(128, 256))
    for byte in kept + _SMALL:
        table[byte] = byte
    table[ord("A") : ord("Z") + 1] = _SMALL
    return bytes(table)


_SHOWN = _table(_DIGITS + b"$'")
_TAGS = _table(_DIGITS + b"$!?%#*'=<:")
_CAPITALS = bytes(byte if 65 <= byte <= 90 else 32 for byte in range(256))


def shown(lowered: str) -> str:
    """Text of small letters as words; punctuation parts them, `$` and `'` belong to them."""
    if not lowered.isascii():
        lowered = lowered.replace("\u2019", "'")
        for mark in _MARKS:
            lowered = lowered.replace(mark, " ")
    return _translate(lowered, _SHOWN)


def subject(text: str) -> list[str]:
    """A subject's words, marked as such."""
    return [SUBJECT_PREFIX + word for word in shown(text.lower()).split()]


def tags(opening: str) -> str:
    """Opening tags as words: `<name` and the names and values of attributes."""
    return _translate(opening, _TAGS)


def _translate(text: str, table: bytes) -> str:
    return text.encode("utf-8", "replace").translate(table).decode("utf-8")


def capitals(text: bytes) -> int:
    """How many words of `CAPITAL_WORD_LENGTH` letters or more are written in capitals."""
    return sum([len(word) >= CAPITAL_WORD_LENGTH for word in text.translate(_CAPITALS).split()])


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


def link_words(links: list[str]) -> list[str]:
    """Links as different words: their hosts, each label of a host, the first words of their paths."""
    found: list[str] = []
    for link in links:
        name = host(link)
        found += [HOST_PREFIX + label for label in (name, *name.split("."))]
        found += [PATH_PREFIX + word for word in _PATH_BREAK.split(link)[1 : PATH_WORD_LIMIT + 1]]
    return list(dict.fromkeys(found))
