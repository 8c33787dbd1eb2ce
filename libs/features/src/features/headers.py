"""Header blocks of mail: where one ends, the few headers that matter, and what they say.

Formats: RFC 5322 with its obsolete forms, RFC 2045 (parameters), RFC 2231 (their continuations and charsets) and RFC
2047 (encoded words). Text is raw: each character is a byte of the mail.
"""

import re
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

from features import charsets, transfer
from features.labels import LABEL_LIMIT

HEAD_LIMIT = 64_000
"""Most characters of one header block that are read."""
SUBJECT_LIMIT = 1_000
"""Most characters of a decoded subject."""
RAW_SUBJECT_LIMIT = 10_000
STRAY_LINES = 3
"""Most lines in a row that are no header and do not end a block."""

# No group is repeated: Python before 3.11.5 errs in possessive groups, and greedy ones cost memory for each round.
_BEFORE = re.compile(r"(?:\xef\xbb\xbf)?\s*+(?:>?From [^\n]*+\n\n?)?")
_HEADER = re.compile(r"[!-9;-~]++[ \t]*+:(?!//)")
_ODD_LINE = re.compile(r"\n(?![!-9;-~]++[ \t]*+:(?!//)|[ \t])")
_KNOWN = (
    r"(?:from|to|cc|subject|date|message-id|received|return-path|reply-to|sender|delivered-to|mime-version"
    r"|content-type{more})[ \t]*+:"
)
_KNOWN_HEADER = re.compile("^" + _KNOWN.format(more=""), re.IGNORECASE | re.MULTILINE)
_KNOWN_LINE = re.compile(_KNOWN.format(more=r"|content-[a-z-]{1,40}|x-[!-9;-~]{1,80}|list-[a-z-]{1,40}"), re.IGNORECASE)
_WANTED = ("subject", "content-type", "content-transfer-encoding", "content-disposition")
_PARAMETER_LINE = re.compile(r"[a-z0-9*-]{1,40}+[ \t]*+=[^\n]*+", re.IGNORECASE)
_KIND = re.compile(r"[^\s;,/]*+(?:\s*+/\s*+[^\s;,]*+)?")
_VALUE = re.compile(r"[ \t]*+:[ \t]*([^\n]*+(?:\n[ \t][^\n]*+)*)")
_SMALL_ASCII = {large: large + 32 for large in range(ord("A"), ord("Z") + 1)}

_QUOTED_OR_COMMENT = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*"?|(?<![\w=\\])\([^()\\]*+(?:\\.[^()\\]*+)*\)', re.DOTALL)
_PARAMETER = re.compile(
    r';[\s;]*+([^\s=;"*]{1,40}+)(\*[0-9]{1,3}+)?(\*)?\s*+=\s*+(?:"([^"\\]*+(?:\\.[^"\\]*+)*)|([^;\s]*+))', re.DOTALL
)
_UNPARTED = re.compile(r'(?:^|[\s,;"])(boundary|charset)\s*+=\s*+(?:"([^"\n]{1,200})|([^\s;"]{1,200}))', re.IGNORECASE)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_ENCODED_WORD = re.compile(
    r"=\?([^?\s*]{1,60})(?:\*[^?\s]{0,20})?\?([bqBQ])\?([^?=]*+(?:(?:=(?!\?[^=])|\?(?!=))[^?=]*+)*)\?="
)


class ContentType(NamedTuple):
    """Content of a `Content-Type` header; a text is "" if the header does not give it."""

    kind: str
    """Type and subtype in lower case, such as `text/html`."""
    charset: str
    boundary: str


def split(source: str) -> tuple[str, str]:
    """Return header block and body; the block is "" if there is none.

    The block ends at the first line that is no header. Up to `STRAY_LINES` such lines do not end it if a well-known
    header follows, nor do parameters of a header that lack their indentation.
    """
    before = _BEFORE.match(source)
    start = before.end() if before else 0
    if not _HEADER.match(source, start):
        return "", source
    pieces: list[str] = []
    limit = start + HEAD_LIMIT
    while found := _ODD_LINE.search(source, start):
        end = found.start()
        pieces.append(source[start : min(end, limit)])
        if parameter := _PARAMETER_LINE.match(source, end + 1) if source[end - 1] == ";" else None:
            pieces.append(f" {parameter[0]}"[: max(0, limit - end)])
            start = parameter.end()
        elif not (start := _after_stray(source, end + 1)):
            body = end + 2 if source[end + 1 : end + 2] == "\n" else end + 1
            return "\n".join(pieces), source[body:]
    pieces.append(source[start:limit])
    return "\n".join(pieces), ""


def _after_stray(source: str, at: int) -> int:
    """Return where a block goes on after lines that are no headers, 0 if it ends at `at`."""
    for _ in range(STRAY_LINES):
        end = source.find("\n", at)
        if end <= at:
            return 0
        at = end + 1
        if _KNOWN_LINE.match(source, at):
            return at
    return 0


def is_mail(head: str) -> bool:
    """Return whether a block has a header of mail, which tells it from text with a colon."""
    return _KNOWN_HEADER.search(head) is not None


def read(head: str) -> dict[str, str]:
    """Return the headers that matter by name in lower case; the first of a name counts."""
    # str.lower can change the length, so it is used for ASCII only. Four searches cost less than one regular expression
    # that tries each line of a long block.
    lowered = "\n" + (head.lower() if head.isascii() else head.translate(_SMALL_ASCII))
    found: dict[str, str] = {}
    for name in _WANTED:
        at = lowered.find(f"\n{name}")
        while at >= 0:
            if value := _VALUE.match(head, at + len(name)):
                found[name] = value[1]
                break
            at = lowered.find(f"\n{name}", at + 1)
    return found


def token(value: str) -> str:
    """Return the one word that a header consists of, in lower case without comments and quotation marks."""
    return _token(value) if len(value) < 200 else _token.__wrapped__(value)


@lru_cache(maxsize=256)
def _token(value: str) -> str:
    if "(" in value:
        value = _without_comments(value)
    return value.partition(";")[0].strip(' \t\n"').lower()


def _kind(value: str) -> str:
    found = _KIND.match(token(value))
    return "".join(found[0].split()) if found else ""


def content_type(value: str) -> ContentType:
    """Return what a `Content-Type` header says."""
    return _content_type(value) if len(value) < 200 else _content_type.__wrapped__(value)


@lru_cache(maxsize=256)
def _content_type(value: str) -> ContentType:
    kind = _kind(value)
    if "=" not in value:
        return ContentType(kind, "", "")
    if "(" in value:
        value = _without_comments(value)
    found = _parameters(value)
    for name, quoted, bare in _UNPARTED.findall(value) if not found.keys() >= {"charset"} else ():
        found.setdefault(name.lower(), quoted or bare)
    charset = found.get("charset", "").partition("(")[0].strip(" \t\n'\"")[:LABEL_LIMIT]
    return ContentType(kind, charset, found.get("boundary", "").rstrip()[:200])


def _without_comments(value: str) -> str:
    for _ in range(3):
        value = _QUOTED_OR_COMMENT.sub(lambda found: found[0] if found[0][0] == '"' else " ", value)
    return value


def _parameters(value: str) -> dict[str, str]:
    """Return parameters by name in lower case, continuations joined and percent escapes resolved (RFC 2231)."""
    found: dict[str, str] = {}
    pieces: dict[str, dict[int, str]] = {}
    for name, number, extended, quoted, bare in _PARAMETER.findall(value):
        text = _ESCAPED.sub(r"\1", quoted) if quoted else bare
        if extended:
            text = unquote_to_bytes(text if number not in ("", "*0") else text.rpartition("'")[2]).decode("latin-1")
        if number:
            pieces.setdefault(name.lower(), {}).setdefault(int(number[1:]), text)
        else:
            found.setdefault(name.lower(), text)
    for name, numbered in pieces.items():
        found.setdefault(name, "".join(numbered[n] for n in sorted(numbered)))
    return found


def subject(value: str, charset: str) -> str:
    """Return a subject decoded.

    Args:
        value: Raw header.
        charset: Label of the mail's text, which bytes outside ASCII are in.
    """
    value = value.replace("\n", "")[:RAW_SUBJECT_LIMIT].rstrip()
    value = _decoded_words(value, charset) if "=?" in value else _raw(value, charset)
    return value.replace("\n", " ").replace("\r", " ").replace("\0", "")[:SUBJECT_LIMIT]


def _raw(text: str, charset: str) -> str:
    if text.isascii() and "\x1b" not in text:
        return text
    return charsets.decode(text.encode("latin-1"), "iso-2022-jp" if "\x1b" in text else charset)


def _decoded_words(value: str, charset: str) -> str:
    """Return text with its encoded words decoded.

    Neighbours in one charset are decoded as one, as many senders part them inside a character.
    """
    found: list[str] = []
    label, data, at = "", b"", 0
    for word in _ENCODED_WORD.finditer(value):
        between = value[at : word.start()]
        apart = not at or bool(between.strip())
        if data and (apart or word[1].lower() != label):
            found.append(charsets.decode(data, label))
            data = b""
        if apart:
            found.append(_raw(between, charset))
        label, at = word[1].lower(), word.end()
        data += transfer.base64(word[3]) if word[2] in "bB" else transfer.quoted_printable(word[3], header=True)
    return "".join([*found, charsets.decode(data, label), _raw(value[at:], charset)])
