"""Links of a mail, to `http` and `https`, as a browser or a mail reader follows them.

An attribute of HTML is a URL by the rules of the WHATWG standard: leading blanks, tabs and line ends count for nothing,
a backslash is a slash, and a link may leave out its scheme. Text is searched for what a mail reader would make a link
of: a URL with its scheme, or a name that begins with `www.`, without the punctuation around it.
"""

import re
from collections.abc import Iterable
from typing import NamedTuple

from features import hosts
from features.hosts import Authority

LINK_LIMIT = 100
"""Most different links of one mail that are read; further ones add no information."""
SOURCE_LIMIT = 1_000
"""Most links as written that are looked at, as many may be spellings of one, or none that a browser follows."""
AUTHORITY_LIMIT = 600
"""Most characters between a link's scheme and its path; a longer link is none."""
ATTRIBUTE_LIMIT = 4_000
"""Most characters of an attribute that are read as a link; `data:` has more, and is no link."""

# Both patterns for text begin with a literal, which makes the search fast. No quantifier is over a group, and no
# repeat follows another of the same characters: the cost is linear.
_USER = r"[^\s/?#\\\"<>]{1,200}@"
_HOST = (
    r"[^\s\x00-\x24&-,/:-@\[-^`{-\x7f\xa0-\xbf\u2000-\u206f\u3000-\u303f\uff00-\uff0d\uff0f\uff1a-\uff20\uff3b-\uff40]"
)
_TAIL = r"[/?#\\][^\s\"<>`\xab\xbb\u2018-\u201f\u3000-\u301f\uff01\uff08\uff09\uff0c\uff1a\uff1b\uff1f]{0,2000}"
_IN_TEXT = re.compile(
    rf"https?://((?:{_USER})?(?:\[[0-9a-f:.]{{2,45}}\]|{_HOST}{{1,300}})(?::[0-9]{{1,5}})?)({_TAIL})?"
)
_WWW = re.compile(rf"(www\.(?<![a-z0-9_.@/:-]www\.){_HOST}{{1,300}}(?::[0-9]{{1,5}})?)({_TAIL})?")
_IN_ATTRIBUTE = re.compile(r"(?:https?:[/\\]*|[/\\]{2,})([^/?#\\]*)(.*)")

_BLANK = "".join(map(chr, range(33)))
_IGNORED = str.maketrans("", "", "\t\n\r")
_AFTER_LINK = ".,;:!?'*_~|)]}>\\\u2026"
"""Punctuation that is not part of a link in text when nothing of the link follows it."""
_PAIRS = {")": "(", "]": "[", "}": "{"}


class Link(NamedTuple):
    """One link."""

    address: str
    """Lower-case URL without its scheme; equal for spellings that lead to the same place."""
    host: str
    is_address: bool
    """Whether the host is an IP address instead of a name."""
    is_odd: bool
    """Whether the link has an IP address, a user or a port."""


def find(lowered: str, attributes: Iterable[str]) -> list[Link]:
    """Return at most `LINK_LIMIT` different links, those of text first.

    Args:
        lowered: Lower-case text.
        attributes: Values of attributes that name an address, with entities resolved.
    """
    written = dict.fromkeys(in_text(lowered))
    for value in attributes:
        if len(written) >= SOURCE_LIMIT:
            break
        if (parts := in_attribute(value)) and len(parts[0]) <= AUTHORITY_LIMIT:
            written[parts] = None
    if not written:
        return []
    found: dict[str, Link] = {}
    for authority, tail in written:
        if (known := hosts.read(authority)) and len(found) < LINK_LIMIT:
            link = _link(known, tail)
            found[link.address] = link
    return list(found.values())


def in_text(lowered: str) -> list[tuple[str, str]]:
    """Return authority and tail, such as path and query, of each link in lower-case text."""
    found: list[tuple[str, str]] = []
    if "http" in lowered:
        found = _IN_TEXT.findall(lowered)
    if "www." in lowered and lowered.count("www.") > lowered.count("//www."):
        found += [parts for parts in _WWW.findall(lowered) if parts[0].strip(".").count(".") > 1]
    return [_without_punctuation(*parts) for parts in found[:SOURCE_LIMIT]]


def _without_punctuation(authority: str, tail: str) -> tuple[str, str]:
    if not tail:
        return authority.rstrip(".:_-~"), tail
    while tail and tail[-1] in _AFTER_LINK:
        opening = _PAIRS.get(tail[-1])
        if opening and tail.count(opening) >= tail.count(tail[-1]):
            break
        tail = tail[:-1]
    return authority, tail


def in_attribute(value: str) -> tuple[str, str] | None:
    """Return authority and tail of an attribute's value, or None if it is no link to `http` or `https`."""
    value = value[:ATTRIBUTE_LIMIT].strip(_BLANK).lower()
    if not value.isprintable():
        value = value.translate(_IGNORED)
    found = _IN_ATTRIBUTE.match(value)
    return (found[1], found[2]) if found else None


def _link(authority: Authority, tail: str) -> Link:
    host, is_address, disguise = authority
    path, question, query = tail.partition("?")
    # Up to the query a backslash is a slash, and no path at all is the root.
    path = path.replace("\\", "/") if path[:1] in "/\\" and path else "/" + path
    return Link(f"{host}{disguise}{path}{question}{query}", host, is_address, is_address or disguise != "")
