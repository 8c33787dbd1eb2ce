"""Charsets of mail: bytes and the label they came with, as text."""

import binascii
import codecs
import re
from collections.abc import Callable

from features.labels import FALLBACK, JAPANESE, codec_of, known

_ESCAPES = {"hz": b"~{", "iso2022_kr": b"\x0e", "utf-7": b"+", JAPANESE: b"\x1b"}
"""Codecs whose bytes pass for ASCII, and what text of each contains if it is more than ASCII."""

_WIDE = ("utf-16", "utf-32")
_BOMS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))
_ASCII = bytes(range(128))
_WINDOWS_1252 = "".join(bytes([n]).decode("cp1252", "ignore") or chr(n) for n in range(256))
_SHIFT = re.compile(rb"\x1b(\$\(D|\$[B@]|\([BJIH])")
_UTF7 = re.compile(r"\+([A-Za-z0-9+/]*)-?")
_META = re.compile(
    rb"<(?:meta\b[^<>]{0,500}?\bcharset|\?xml\b[^<>]{0,200}?\bencoding)\s{0,20}=\s{0,20}[\"']?\s{0,20}([^\s\"'/>;]{1,60})",
    re.IGNORECASE,
)
META_LIMIT = 4_096
"""Bytes of HTML in which `<meta charset>` is looked for."""


def is_plain(label: str) -> bool:
    """Return whether ASCII in a charset is just that."""
    codec = codec_of(label)
    return codec not in _ESCAPES and not codec.startswith(_WIDE)


def declared_in(html: bytes) -> str:
    """Return the charset that an HTML source names in `<meta>` or its XML declaration, "" if none does."""
    found = _META.search(html[:META_LIMIT])
    label = found[1].decode("latin-1") if found else ""
    # A source whose `<meta>` can be read is not in UTF-16 (HTML standard, 13.2.3.2).
    return "utf-8" if codec_of(label).startswith(_WIDE) else label


def decode(data: bytes, label: str, *, html: bool = False) -> str:
    """Return bytes as text; what cannot be decoded becomes U+FFFD.

    Text in another charset is hardly ever valid UTF-8 by chance, so valid UTF-8 wins over the label. A byte order mark
    wins over both. Escapes of ISO-2022-JP among ASCII mean that charset, whatever the label.

    Args:
        data: Bytes, possibly cut inside a character.
        label: Charset as the mail names it, "" if it names none.
        html: Whether the bytes are HTML, which can name its charset.
    """
    codec = codec_of(label)
    for mark, marked in _BOMS:
        if data.startswith(mark) and not codec.startswith("utf-32"):
            return data[len(mark) :].decode(marked, "replace")
    if not is_plain(label):
        return _seven_bit(data, codec)
    if data.isascii():
        return _iso_2022_jp(data) if b"\x1b" in data else data.decode("ascii")
    return _utf8(data) or _eight_bit(data, codec_of(declared_in(data)) if html and not known(label) else codec)


def _utf8(data: bytes) -> str:
    """Return valid UTF-8 as text, "" if it is none; a character that is cut at the end is left out."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        cut = error.start >= len(data) - 3 and error.reason == "unexpected end of data"
        return data[: error.start].decode("utf-8") if cut and not data[: error.start].isascii() else ""


def _seven_bit(data: bytes, codec: str) -> str:
    mark = _ESCAPES.get(codec, b"\0")
    if mark not in data and (data.isascii() or _utf8(data)):
        return _utf8(data)
    if codec in _DECODERS:
        return _DECODERS[codec](data)
    return data.decode(codec, "replace")


def _eight_bit(data: bytes, codec: str) -> str:
    if codec in _ESCAPES:
        return _seven_bit(data, codec)
    odd = len(data.translate(None, _ASCII))
    for attempt in ("utf-8",) if codec == FALLBACK else (codec, "utf-8"):
        decoded = _DECODERS[attempt](data) if attempt in _DECODERS else data.decode(attempt, "replace")
        if 2 * decoded.count("\ufffd") <= odd:
            return decoded
    return _windows_1252(data)


def _windows_1252(data: bytes) -> str:
    """Return bytes as windows-1252, whose five free bytes are control characters (WHATWG)."""
    return codecs.charmap_decode(data, "replace", _WINDOWS_1252)[0]


def _utf_7(data: bytes) -> str:
    # Python's codec stops at the first error; here each run of base64 stands for itself.
    return _UTF7.sub(_utf_7_run, _windows_1252(data))


def _utf_7_run(found: re.Match[str]) -> str:
    run = found[1].encode()
    if not run:
        return "+"
    raw = binascii.a2b_base64(run[: len(run) - (len(run) % 4 == 1)] + b"==")
    return raw[: len(raw) // 2 * 2].decode("utf-16-be", "replace")


def _euc_jp(data: bytes) -> str:
    return data.decode("euc_jp", _EUC_ERRORS)


def _of_cp932(error: UnicodeError) -> tuple[str, int]:
    """Decode a character that EUC-JP has only in its superset of vendors, such as those of row 13."""
    if not isinstance(error, UnicodeDecodeError):
        raise error
    lead, trail = (*error.object[error.start : error.start + 2], 0, 0)[:2]
    if not (0xA1 <= lead <= 0xFE and 0xA1 <= trail <= 0xFE):
        return "\ufffd", error.start + 1
    row, cell = divmod((lead - 0xA1) * 94 + trail - 0xA1, 188)
    first = row + (0x81 if row < 0x1F else 0xC1)
    second = cell + (0x40 if cell < 0x3F else 0x41)
    return bytes([first, second]).decode("cp932", "replace")[:1], error.start + 2


_EUC_ERRORS = "features.cp932"
codecs.register_error(_EUC_ERRORS, _of_cp932)


def _iso_2022_jp(data: bytes) -> str:
    """Return ISO-2022-JP as text: each run is written in EUC-JP, whose codec does the rest."""
    pieces = _SHIFT.split(data)
    found = [pieces[0]]
    for shift, run in zip(pieces[1::2], pieces[2::2], strict=True):
        found.append(_as_euc(shift, run))
    return _euc_jp(b"".join(found))


_HIGH = bytes(byte | 0x80 if 0x21 <= byte <= 0x7E else byte for byte in range(256))
_KANA = re.compile(rb"([\x21-\x5f])")
_PAIR = re.compile(rb"([\xa1-\xfe]{2})")


def _as_euc(shift: bytes, run: bytes) -> bytes:
    if shift == b"(I":
        return _KANA.sub(b"\x8e\\1", run).translate(_HIGH)
    if shift[:1] == b"(":
        return run
    high = run.translate(_HIGH)
    return _PAIR.sub(b"\x8f\\1", high) if shift == b"$(D" else high


_DECODERS: dict[str, Callable[[bytes], str]] = {
    "cp1252": _windows_1252,
    "utf-7": _utf_7,
    "euc_jp": _euc_jp,
    JAPANESE: _iso_2022_jp,
}
