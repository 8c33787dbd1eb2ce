"""MIME parsing: an e-mail, plain or RFC 5322 and however damaged, split into its subject and its text.

Real mail breaks every rule, so no content raises an error: what cannot be decoded is replaced or left out, and each
loop has a limit. A mail is handled as bytes until a part's charset is known. Those bytes are kept as text of one
character a byte, so a mail and its Latin-1 text are the same.

Only the subject and the text parts are kept. Transport headers name the route a mail took, which tells one corpus from
another and not spam from ham.
"""

import codecs
import re
from dataclasses import dataclass, field

from features import charsets, headers, transfer
from features.text import readable

SOURCE_LIMIT = 1_000_000
"""Most characters of decoded text, HTML source included, that are read over all parts of one mail."""
PART_LIMIT = 200
DEPTH_LIMIT = 25
PIECE_LIMIT = 2_000
"""Most lines of one container that begin like its boundary."""

_LONE_SURROGATE = re.compile(r"[\ud800-\udfff]")
_HTML = ("text/html", "application/xhtml+xml")
_MESSAGES = ("message/rfc822", "message/global", "message/news")


@dataclass(slots=True)
class ParsedMail:
    """Parsed mail, reduced to what the features need: decoded text and a few counts of its structure."""

    subject: str = ""
    plain: list[str] = field(default_factory=list)
    """Text parts as a reader sees them."""
    html: list[str] = field(default_factory=list)
    """Source of the HTML parts."""
    parts: int = 0
    attachments: int = 0
    charset: str = ""
    """Label of the first text part that names one."""
    room: int = SOURCE_LIMIT


def parse(source: str | bytes) -> ParsedMail:
    """Split a mail into its subject and its text.

    Args:
        source: A whole RFC 5322 message or plain text: its bytes, its bytes as Latin-1 text, or its text.

    Returns:
        The mail's subject and text parts, at most `SOURCE_LIMIT` characters of text in all. Text without a header block
        is a mail of one plain part.
    """
    source = _lines(_raw(source))
    mail = ParsedMail()
    head, body = headers.split(source)
    if head and headers.is_mail(head):
        found = headers.read(head)
        _walk(mail, found, body)
        mail.subject = readable(headers.subject(found.get("subject", ""), mail.charset))
    else:
        mail.parts = 1
        _add_text(mail, _decoded(source[:SOURCE_LIMIT], "", html=False), html=False)
    return mail


def _raw(source: str | bytes) -> str:
    """Return a mail's bytes as text of one character a byte; text that is more than that becomes UTF-8."""
    if isinstance(source, str) and source.isascii():
        return source
    data = source if isinstance(source, bytes) else _encoded(source)
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        data = data.decode("utf-16", "replace").encode("utf-8")
    return data.decode("latin-1")


def _encoded(source: str) -> bytes:
    """Return the bytes of Latin-1 text, else UTF-8; `surrogateescape`, which hides raw bytes (PEP 383), is undone."""
    try:
        return source.encode("latin-1")
    except UnicodeEncodeError:
        pass
    try:
        return source.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return _LONE_SURROGATE.sub("\ufffd", source).encode("utf-8")


def _lines(source: str) -> str:
    """Return text with one kind of line ending and no NUL; every later step relies on that."""
    if "\0" in source:
        source = source.replace("\0", "")
    if "\r" in source:
        source = source.replace("\r\r\n", "\n").replace("\r\n", "\n").replace("\r", "\n")
    return source


def _walk(mail: ParsedMail, found: dict[str, str], body: str) -> None:
    """Visit the tree of parts in reading order, without recursion and with every count limited."""
    waiting = [(found, body, 0)]
    while waiting and mail.parts < PART_LIMIT:
        found, body, depth = waiting.pop()
        said = headers.content_type(found.get("content-type", "text/plain"))
        inner = _children(said, found, body) if depth < DEPTH_LIMIT else []
        if inner:
            waiting += [(_headers_in(said.kind, head), text, depth + 1) for head, text in reversed(inner)]
        else:
            mail.parts += 1
            _leaf(mail, said, found, body)


def _headers_in(kind: str, head: str) -> dict[str, str]:
    found = headers.read(head)
    if kind == "multipart/digest":
        found.setdefault("content-type", "message/rfc822")
    return found


def _children(said: headers.ContentType, found: dict[str, str], body: str) -> list[tuple[str, str]]:
    is_message = said.kind in _MESSAGES
    if not is_message and not (said.boundary and said.kind.startswith("multipart/")):
        return []
    encoding = headers.token(found.get("content-transfer-encoding", ""))
    if is_message or f"--{said.boundary}" not in body:
        decoded = transfer.decode(body, encoding, SOURCE_LIMIT)
        body = body if decoded is None else _lines(decoded.decode("latin-1"))
    if is_message:
        return [headers.split(body)]
    return [_split_part(piece) for piece in _pieces(body, said.boundary)]


def _pieces(body: str, boundary: str) -> list[str]:
    """Return what is between the boundary lines of a container, up to its end.

    A line that only begins with the boundary is text, as the boundary of an inner container can begin so.
    """
    delimiter = "\n--" + boundary
    found: list[list[str]] = []
    for piece in f"\n{body}".split(delimiter, PIECE_LIMIT)[1:]:
        rest = piece.partition("\n")[0].rstrip(" \t")
        if rest.startswith("--") and rest[2:3] in ("", " ", "\t"):
            break
        if not rest:
            found.append([piece])
        elif found:
            found[-1].append(piece)
    return [pieces[0] if len(pieces) == 1 else delimiter.join(pieces) for pieces in found]


def _split_part(piece: str) -> tuple[str, str]:
    content = piece.partition("\n")[2]
    return ("", content[1:]) if content.startswith("\n") else headers.split(content)


def _leaf(mail: ParsedMail, said: headers.ContentType, found: dict[str, str], body: str) -> None:
    kind = said.kind
    attached = "content-disposition" in found and headers.token(found["content-disposition"]).startswith("attachment")
    # A mail reader shows the raw text of a multipart without a usable boundary, so its text is kept here too.
    if attached or (not kind.startswith(("text", "multipart/", "message/")) and "/" in kind and kind not in _HTML):
        mail.attachments += 1
        return
    decoded = transfer.decode(body, headers.token(found.get("content-transfer-encoding", "")), mail.room)
    data = body[: mail.room] if decoded is None else decoded
    html = kind in _HTML
    mail.charset = mail.charset or said.charset or (_declared(data) if html else "")
    text = _decoded(data, said.charset, html=html)
    _add_text(mail, text, html=html or (kind != "text/plain" and "<html" in text[:1000].lower()))


def _declared(html: str | bytes) -> str:
    start = html[: charsets.META_LIMIT]
    return charsets.declared_in(start.encode("latin-1") if isinstance(start, str) else start)


def _decoded(data: str | bytes, charset: str, *, html: bool) -> str:
    if isinstance(data, str):
        if data.isascii() and "\x1b" not in data and charsets.is_plain(charset):
            return data
        data = data.encode("latin-1")
    return _lines(charsets.decode(data, charset, html=html))


def _add_text(mail: ParsedMail, text: str, *, html: bool) -> None:
    text = text[: mail.room]
    mail.room -= len(text)
    if html:
        mail.html.append(text)
    else:
        mail.plain.append(readable(text))
