"""Hosts of links, by the host parser of the WHATWG URL standard (3.5) for `http` and `https`.

Names are written as a browser sends them: percent-encoding resolved, letters small, Unicode in Punycode. IPv4 addresses
are four decimal numbers, whether they came as one integer, octal or hexadecimal. Two spellings of one host are equal.
"""

import ipaddress
import re
import unicodedata
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

HOST_LIMIT = 255
"""Most characters of a host's name; DNS knows no longer one."""

_PLAIN = re.compile(r"[a-z0-9_-]+(?:\.[a-z0-9_-]+)*\Z")
_PORT = re.compile(r":([0-9]{0,5})\Z")
_FORBIDDEN = re.compile(r"[\x00-\x20#/:<>?@\[\\\]^|%\x7f]")
_NUMBER = re.compile(r"(?:0[xX][0-9a-fA-F]*|[0-9]+)\Z")
_LABEL_ENDS = str.maketrans("\u3002\uff0e\uff61", "...")
_DEFAULT_PORTS = ("", "80", "443")
_LARGEST_PORT = 65_535
_IPV4_PARTS = 4
_CACHED = 4096
"""Authorities that are kept; mails of one sender repeat them."""


class Authority(NamedTuple):
    """Authority of a link: all between its scheme and its path."""

    host: str
    """Name in lower-case ASCII, IPv4 address as `1.2.3.4`, or IPv6 address in brackets."""
    is_address: bool
    """Whether the host is an IP address instead of a name."""
    disguise: str
    """User and port as written, `user@` and `:8080`; empty if there are none, or the port is the scheme's own."""


@lru_cache(maxsize=_CACHED)
def read(authority: str) -> Authority | None:
    """Return the parts of `user@host:port`, or None if no browser would follow such a link.

    Args:
        authority: Lower-case text without `/`, `?`, `#` and backslash.
    """
    user, at, rest = authority.rpartition("@")
    port = _PORT.search(rest)
    name = rest[: port.start()] if port else rest
    if port and port[1] and int(port[1]) > _LARGEST_PORT:
        return None
    address = _ipv6(name) if name[:1] == "[" else _name(name)
    if address is None:
        return None
    host, is_address = address
    disguise = user + at + (":" + port[1] if port and port[1] not in _DEFAULT_PORTS else "")
    return Authority(host, is_address, disguise)


def _ipv6(name: str) -> tuple[str, bool] | None:
    if name[-1] != "]" or "%" in name:
        return None
    try:
        return f"[{ipaddress.IPv6Address(name[1:-1]).compressed}]", True
    except ValueError:
        return None


def _name(name: str) -> tuple[str, bool] | None:
    if not _PLAIN.match(name):
        name = _ascii(name)
    # A root's dot changes nothing of where a link leads.
    name = name.removesuffix(".")
    if not 0 < len(name) <= HOST_LIMIT or _FORBIDDEN.search(name):
        return None
    last = name[name.rfind(".") + 1 :]
    if _NUMBER.match(last):
        address = _ipv4(name)
        return (address, True) if address else None
    return name, False


def _ascii(name: str) -> str:
    """Return a name with percent-encoding resolved and each label in ASCII (UTS 46, not transitional)."""
    if "%" in name:
        name = unquote_to_bytes(name).decode("utf-8", "replace").lower()
    if name.isascii():
        return name
    # Unicode calls some characters to be ignored; UTS 46 leaves them out, and NFKC does not.
    name = "".join([c for c in name if unicodedata.category(c) != "Cf" and not "\ufe00" <= c <= "\ufe0f"])
    name = unicodedata.normalize("NFKC", name).lower().translate(_LABEL_ENDS)
    # Python writes a sigma at a word's end as UTS 46 does not.
    return ".".join(map(_punycode, unicodedata.normalize("NFKC", name)[: HOST_LIMIT + 1].split(".")))


def _punycode(label: str) -> str:
    return label if label.isascii() else "xn--" + label.encode("punycode").decode("ascii")


def _ipv4(name: str) -> str:
    """Return an IPv4 address in decimal, or "" if the numbers are none."""
    parts = name.split(".")
    if len(parts) > _IPV4_PARTS or not all(map(_NUMBER.match, parts)):
        return ""
    try:
        numbers = [_integer(part) for part in parts]
    except ValueError:
        return ""
    *first, last = numbers
    if any(number > 255 for number in first) or last >= 256 ** (5 - len(numbers)):
        return ""
    value = last + sum(number << (24 - 8 * at) for at, number in enumerate(first))
    return str(ipaddress.IPv4Address(value))


def _integer(digits: str) -> int:
    if digits[:2] in ("0x", "0X"):
        return int(digits[2:] or "0", 16)
    return int(digits, 8 if digits[0] == "0" else 10)
