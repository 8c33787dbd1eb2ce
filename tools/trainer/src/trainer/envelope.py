"""RFC 5322 messages as today's mailers write them: headers, charsets and transfer encodings of all kinds."""

import base64
import binascii
import random
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.header import Header
from email.utils import format_datetime

_CHARSETS = ("utf-8", "utf-8", "UTF-8", "utf-8", "iso-8859-1", "windows-1252", "us-ascii")
_ENCODINGS = ("quoted-printable", "quoted-printable", "base64", "8bit")
_LINE_END = re.compile(r"\r?\n")
_LONGEST_8BIT_LINE = 990
"""Longest line in bytes that a mail server passes on (RFC 5321, 4.5.3.1.6 allows 998)."""


@dataclass(frozen=True, slots=True)
class Envelope:
    """Header fields of a message."""

    subject: str
    sender: str
    recipient: str


def message(envelope: Envelope, plain: str, source: str, chosen: random.Random) -> bytes:
    """Return a whole message with CRLF line ends.

    Args:
        envelope: Its header fields.
        plain: Text of the text part; empty for none.
        source: HTML of the HTML part; empty for none. A message with both is multipart/alternative.
        chosen: Random numbers for charset, encoding and header fields.
    """
    parts = [_part(kind, text, chosen) for kind, text in (("plain", plain), ("html", source)) if text]
    if not parts:
        parts = [_part("plain", "", chosen)]
    head = _head(envelope, chosen)
    if len(parts) == 1:
        return head + parts[0]
    boundary = f"{chosen.choice(('----=_Part_', '_000_', '--_NmP-', '000000000000', 'b1='))}{chosen.getrandbits(64):x}"
    pieces = b"".join(b"--" + boundary.encode() + b"\r\n" + part + b"\r\n" for part in parts)
    kind = f'Content-Type: multipart/alternative; boundary="{boundary}"\r\n\r\n'
    return head + kind.encode() + pieces + f"--{boundary}--\r\n".encode()


def _head(envelope: Envelope, chosen: random.Random) -> bytes:
    sent = datetime(2015, 1, 1, tzinfo=UTC) + timedelta(seconds=chosen.randrange(12 * 365 * 86_400))
    fields = {
        "From": envelope.sender,
        "To": envelope.recipient,
        "Subject": envelope.subject,
        "Date": format_datetime(sent),
        "Message-ID": f"<{chosen.getrandbits(80):x}@{envelope.sender.rpartition('@')[2].rstrip('>')}>",
        "MIME-Version": "1.0",
    }
    return "".join(f"{name}: {_field(value)}\r\n" for name, value in fields.items()).encode("ascii")


def _field(value: str) -> str:
    value = " ".join(value.split())
    if value.isascii():
        return value
    address = re.search(r" <[!-~]+>$", value)
    words = value[: address.start()] if address else value
    return Header(words, "utf-8", maxlinelen=75).encode(linesep="\r\n") + (address[0] if address else "")


def _part(kind: str, text: str, chosen: random.Random) -> bytes:
    text = _LINE_END.sub("\r\n", text)
    charset = chosen.choice(_CHARSETS)
    try:
        data = text.encode(charset)
    except UnicodeEncodeError:
        charset, data = "utf-8", text.encode("utf-8", "replace")
    encoding = chosen.choice(_ENCODINGS)
    if encoding == "8bit" and max(map(len, data.split(b"\r\n"))) > _LONGEST_8BIT_LINE:
        encoding = "quoted-printable"
    head = f"Content-Type: text/{kind}; charset={charset}\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n"
    return head.encode() + _encoded(data, encoding)


def _encoded(data: bytes, encoding: str) -> bytes:
    if encoding == "base64":
        return base64.encodebytes(data).replace(b"\n", b"\r\n")
    if encoding == "quoted-printable":
        return binascii.b2a_qp(data.replace(b"\r\n", b"\n"), istext=True).replace(b"\n", b"\r\n")
    return data
