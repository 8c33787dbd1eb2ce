"""Labels of charsets: which of Python's codecs each means.

Labels mean what the WHATWG encoding standard says, so each is read by the superset that senders use: `iso-8859-1` as
windows-1252, `gb2312` as GB 18030, `shift_jis` as code page 932. Charsets that only mail uses are added.
"""

import codecs
import re
from encodings.aliases import aliases
from functools import lru_cache

from webencodings.labels import LABELS  # type: ignore[import-untyped]

FALLBACK = "cp1252"
"""Codec of a label that nobody knows, as mail readers have it."""

LABEL_LIMIT = 60
"""Most characters of a charset's label."""

JAPANESE = "iso2022_jp"

# Python's codec of a standard encoding's name where its own name would mean a smaller charset, or nothing.
_SUPERSETS = {
    "gbk": "gb18030",
    "big5": "big5hkscs",
    "shift_jis": "cp932",
    "euc-kr": "cp949",
    "iso-8859-8-i": "iso8859-8",
    "windows-874": "cp874",
    "macintosh": "mac-roman",
    "x-mac-cyrillic": "mac-cyrillic",
    "utf-16be": "utf-16-be",
    "utf-16le": "utf-16-le",
    "x-user-defined": FALLBACK,
}

# Codecs of mail by Python's module of a charset. Python's other codecs include some that execute escapes, are
# quadratic, or are not text.
_OF_MAIL = {
    **{name: name for name in ("utf_7", "utf_16", "utf_32", "utf_32_be", "utf_32_le", "iso2022_kr", "hz", "johab")},
    **{f"cp{n}": f"cp{n}" for n in (437, 737, 775, 850, 852, 855, 857, 858, *range(860, 867), 869, 874)},
    **{f"cp{n}": f"cp{n}" for n in (932, 949, 950, *range(1250, 1259))},
    **{f"mac_{name}": f"mac_{name}" for name in ("roman", "cyrillic", "greek", "latin2", "turkish")},
    **{f"iso2022_jp{kind}": JAPANESE for kind in ("", "_1", "_2", "_3", "_2004", "_ext")},
    **{"gb2312": "gb18030", "gbk": "gb18030", "gb18030": "gb18030", "big5": "big5hkscs", "big5hkscs": "big5hkscs"},
    **{"shift_jis": "cp932", "euc_kr": "cp949", "euc_jp": "euc_jp", "tis_620": "cp874", "iso8859_11": "cp874"},
}
_MORE_ALIASES = {"cngb": "gbk", "macce": "mac_latin2", "unicode20utf7": "utf_7", "unicode11utf7": "utf_7"}
_SEPARATORS = re.compile(r"[^a-z0-9]+")


def _squeezed(label: str) -> str:
    """Return what matters of a label (Unicode Technical Standard 22, 1.4)."""
    return _SEPARATORS.sub("", label.lower())


def _by_label() -> dict[str, str]:
    names = {name: name for name in _OF_MAIL} | aliases | _MORE_ALIASES
    own = {_squeezed(alias): _OF_MAIL[module] for alias, module in names.items() if module in _OF_MAIL}
    standard = {_squeezed(label): _SUPERSETS.get(name, name) for label, name in LABELS.items() if name != "replacement"}
    return {label: codecs.lookup(codec).name for label, codec in (own | standard).items()}


_BY_LABEL = _by_label()
"""Codecs by squeezed label.

`codecs.lookup` with a name from a mail would search the disk for a module of that name and cache the name forever.
"""
CODECS = frozenset(_BY_LABEL.values())
"""Every codec that a label can mean."""


@lru_cache(maxsize=256)
def known(label: str) -> str:
    """Return the codec of a label in any spelling, "" if nobody knows it."""
    name = _squeezed(label[:LABEL_LIMIT])
    plain = name.removeprefix("x")
    return _BY_LABEL.get(name) or _BY_LABEL.get(plain) or _BY_LABEL.get(plain.replace("win", "windows", 1), "")


def codec_of(label: str) -> str:
    """Return the codec of a label, `FALLBACK` if nobody knows it."""
    return known(label) or FALLBACK
