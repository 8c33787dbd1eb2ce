"""MIME parsing: an e-mail, plain or RFC 5322 and however damaged, split into its subject and its text.

Real mail breaks every rule, so no content raises an error: what cannot be decoded is replaced or left out, and each
loop has a limit. Formats: RFC 5322 (header block), RFC 2045 and 2046 (MIME), RFC 2047 (encoded words).

Only the subject and the text parts are kept. Transport headers name the route a mail took, which tells one corpus from
another and not spam from ham.
"""

import binascii
import codecs
import encodings
import re
from dataclasses import dataclass, field
from encodings.aliases import aliases
from functools import lru_cache

TEXT_LIMIT = 16_000
"""Most characters of decoded text that are read, over all parts of one mail."""
HEAD_LIMIT = 64_000
SUBJECT_LIMIT = 1_000
PART_LIMIT = 200
DEPTH_LIMIT = 10

# Every group is atomic and every quantifier possessive, so a hostile header block costs one pass without backtracking.
_HEAD = re.compile(r"(?:>?From [^\n]*+\n)?(?>(?:[!-9;-~]++:[^\n]*+(?:\n[ \t][^\n]*+)*+(?:\n|\Z))++)")
_KNOWN_HEADER = re.compile(
    r"^(?:from|to|cc|subject|date|message-id|received|return-path|reply-to|sender|delivered-to"
    r"|mime-version|content-type):",
    re.IGNORECASE | re.MULTILINE,
)
_WANTED_HEADERS = ("subject", "content-type", "content-transfer-encoding", "content-disposition")
_VALUE = re.compile(r"[ \t]*([^\n]*+(?:\n[ \t][^\n]*+)*+)")
_BOUNDARY = re.compile(r'boundary\s*+=\s*+(?:"([^"\n]{1,200})"|([^\s;"]{1,200}))', re.IGNORECASE)
_CHARSET = re.compile(r'charset\s*+=\s*+"?([A-Za-z0-9_.:+-]{1,40})', re.IGNORECASE)
_ENCODED_WORD = re.compile(r"=\?([A-Za-z0-9_.:+-]{1,40}+)(?:\*[^?\s]{0,20})?\?([bq])\?([^?\s]*+)\?=", re.IGNORECASE)
_BETWEEN_ENCODED_WORDS = re.compile(r"(\?=)\s+(?==\?)")
_SMALL_ASCII = {large: large + 32 for large in range(ord("A"), ord("Z") + 1)}
_LONE_SURROGATE = re.compile(r"[\ud800-\udfff]")

# Only charsets of mail: Python's other codecs include some that execute escapes, are quadratic, or are not text.
CHARSETS = frozenset(
    codecs.lookup(name).name
    for name in [
        *("utf-8", "utf-16", "utf-16-be", "utf-16-le", "utf-32", "ascii", "koi8-r", "koi8-u", "tis-620"),
        *(f"iso8859-{n}" for n in range(1, 17) if n != 12),
        *(f"cp{n}" for n in (437, 850, 852, 866, 874, 932, 949, 950, *range(1250, 1259))),
        *("gb2312", "gbk", "gb18030", "big5", "big5hkscs", "shift_jis", "euc_jp", "iso2022_jp", "euc_kr"),
        *("iso2022_kr", "hz", "mac-roman", "mac-cyrillic"),
    ]
)

# Keys are module names. `codecs.lookup` with a name from a mail would search the disk for a module of that name and
# cache the name forever.
_CODECS = {
    aliases.get(name.replace("-", "_"), name.replace("-", "_")): name for name in CHARSETS - {"ascii", "iso8859-1"}
}

_SEVEN_BIT = ("iso2022", "hz", "utf-16", "utf-32")
"""Prefixes of codecs whose bytes can pass for ASCII."""


@dataclass(slots=True)
class ParsedMail:
    """Parsed mail, reduced to what the features need: decoded text and a few counts of its structure."""

    subject: str = ""
    plain: list[str] = field(default_factory=list)
    html: list[str] = field(default_factory=list)
    parts: int = 0
    attachments: int = 0
    room: int = TEXT_LIMIT


def parse(source: str | bytes) -> ParsedMail:
    """Split a mail into its subject and its text.

    Args:
        source: A whole RFC 5322 message or plain text; bytes are read as UTF-8, else as Latin-1.

    Returns:
        The mail's subject and text parts, at most `TEXT_LIMIT` characters of text in all. Text without a header block
        is a mail of one plain part.
    """
    source = _readable(source)
    mail = ParsedMail()
    head, body = _split(source)
    if head and _KNOWN_HEADER.search(head):
        _walk(mail, head, body)
    else:
        mail.parts = 1
        _add_text(mail, source, html=False)
    return mail


def _readable(source: str | bytes) -> str:
    """Return text with one kind of line ending, no NUL and no surrogate; every later step relies on that."""
    if isinstance(source, str) and not source.isascii() and _LONE_SURROGATE.search(source):
        source = _from_surrogates(source)
    if isinstance(source, bytes):
        source = _decode_raw(source)
    if "\0" in source:
        source = source.replace("\0", "")
    if "\r" in source:
        source = source.replace("\r\n", "\n").replace("\r", "\n")
    return source


def _from_surrogates(source: str) -> str | bytes:
    """Undo Python's `surrogateescape`, which hides raw bytes in lone surrogates (PEP 383)."""
    try:
        return source.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return _LONE_SURROGATE.sub("\ufffd", source)


def _decode_raw(source: bytes) -> str:
    try:
        return source.decode("utf-8")
    except UnicodeDecodeError:
        return source.decode("latin-1")


def _split(source: str) -> tuple[str, str]:
    """Return header block and body; the block ends at the first line that is not a header."""
    found = _HEAD.match(source)
    if not found:
        return "", source
    end = found.end()
    return source[: min(end, HEAD_LIMIT)], source[end + 1 :] if source[end : end + 1] == "\n" else source[end:]


def _headers(head: str) -> dict[str, str]:
    # str.lower can change the length, so it is used for ASCII only. Four searches cost less than one regular expression
    # that tries each line of a long block.
    lowered = head.lower() if head.isascii() else head.translate(_SMALL_ASCII)
    lowered = "\n" + lowered
    found: dict[str, str] = {}
    for name in _WANTED_HEADERS:
        at = lowered.find(f"\n{name}:")
        if at >= 0 and (value := _VALUE.match(head, at + len(name) + 1)):
            found[name] = value[1]
    return found


def _walk(mail: ParsedMail, head: str, body: str) -> None:
    """Visit the tree of parts in reading order, without recursion and with every count limited."""
    headers = _headers(head)
    mail.subject = _decode_words(headers.get("subject", "")[:SUBJECT_LIMIT])
    waiting = [(headers, body, 0)]
    while waiting and mail.parts < PART_LIMIT:
        headers, body, depth = waiting.pop()
        content_type = headers.get("content-type", "text/plain")
        kind = content_type.partition(";")[0].strip().lower()
        inner = _children(kind, content_type, body) if depth < DEPTH_LIMIT else []
        if inner:
            waiting += [(_headers(h), b, depth + 1) for h, b in reversed(inner)]
        else:
            mail.parts += 1
            _leaf(mail, kind, headers, body)


def _children(kind: str, content_type: str, body: str) -> list[tuple[str, str]]:
    if kind == "message/rfc822":
        return [_split(body.lstrip("\n"))]
    boundary = _BOUNDARY.search(content_type) if kind.startswith("multipart/") else None
    if not boundary:
        return []
    pieces = f"\n{body}".split("\n--" + (boundary[1] or boundary[2]), PART_LIMIT)[1:]
    return [_split_part(piece) for piece in pieces if not piece.startswith("--")]


def _split_part(piece: str) -> tuple[str, str]:
    content = piece.partition("\n")[2]
    return ("", content[1:]) if content.startswith("\n") else _split(content)


def _leaf(mail: ParsedMail, kind: str, headers: dict[str, str], body: str) -> None:
    attached = headers.get("content-disposition", "").lstrip().lower().startswith("attachment")
    # A mail reader shows the raw text of a multipart without a usable boundary, so its text is kept here too.
    if attached or (not kind.startswith(("text", "multipart/", "message/")) and "/" in kind):
        mail.attachments += 1
        return
    text = _decode_body(body, headers.get("content-transfer-encoding", ""), headers.get("content-type", ""), mail.room)
    _add_text(mail, text, html=kind == "text/html" or (kind != "text/plain" and "<html" in text[:1000].lower()))


def _add_text(mail: ParsedMail, text: str, *, html: bool) -> None:
    text = text[: mail.room]
    mail.room -= len(text)
    (mail.html if html else mail.plain).append(text)


def _decode_body(body: str, encoding: str, content_type: str, room: int) -> str:
    encoding = encoding.strip().lower()
    declared = _CHARSET.search(content_type)
    charset = declared[1] if declared else ""
    if encoding == "base64":
        return _readable(_decode(_base64(body[: 2 * room + 1000]), charset))
    if encoding == "quoted-printable":
        return _readable(_decode(_quoted_printable(body[: 3 * room]), charset))
    return _recode(body[:room], charset)


def _base64(body: str) -> bytes:
    data = re.sub(rb"[^A-Za-z0-9+/]", b"", body.partition("=")[0].encode("ascii", "ignore"))
    return binascii.a2b_base64(data[: len(data) // 4 * 4] + _last_quantum(data))


def _last_quantum(data: bytes) -> bytes:
    rest = data[len(data) // 4 * 4 :]
    return rest + b"=" * (4 - len(rest)) if len(rest) > 1 else b""


def _quoted_printable(body: str, *, header: bool = False) -> bytes:
    return binascii.a2b_qp(_raw(body), header=header)


def _raw(text: str) -> bytes:
    """Return the bytes that `_decode_raw` read."""
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError:
        return text.encode("utf-8")


def _recode(body: str, charset: str) -> str:
    """Return an 8-bit body in its own charset if it was read as Latin-1; text that is already decoded stays."""
    codec = codec_of(charset)
    if body.isascii() and not codec.startswith(_SEVEN_BIT):
        return body
    try:
        decoded = body.encode("latin-1").decode(codec, "replace")
    except UnicodeEncodeError:
        return body
    wrong, odd = decoded.count("\ufffd"), len(body) - len(body.encode("ascii", "ignore"))
    return body if 2 * wrong > odd else _readable(decoded)


def _decode(data: bytes, charset: str) -> str:
    codec = codec_of(charset)
    # Text in another charset is hardly ever valid UTF-8 by chance, so UTF-8 wins over the label. Text of a seven-bit
    # charset is always valid UTF-8, so there the label is tried first.
    for attempt in (codec, "utf-8") if codec.startswith(_SEVEN_BIT) else ("utf-8", codec):
        try:
            return data.decode(attempt)
        except UnicodeDecodeError:
            continue
    return data.decode(codec, "replace")


@lru_cache(maxsize=256)
def codec_of(charset: str) -> str:
    """Return the codec of a charset's name; unknown ones are read as Windows-1252, as mail readers do."""
    name = encodings.normalize_encoding(charset.lower())
    return _CODECS.get(aliases.get(name) or aliases.get(name.replace(".", "_")) or name, "cp1252")


def _decode_words(subject: str) -> str:
    subject = subject.replace("\n", "")
    if "=?" not in subject:
        return subject
    return _ENCODED_WORD.sub(_decode_word, _BETWEEN_ENCODED_WORDS.sub(r"\1", subject))


def _decode_word(found: re.Match[str]) -> str:
    charset, encoding, data = found.groups()
    raw = _base64(data) if encoding in "bB" else _quoted_printable(data, header=True)
    return _readable(_decode(raw, charset))
