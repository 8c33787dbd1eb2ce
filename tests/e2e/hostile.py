"""Hostile mails that harm whoever parses them carelessly; each is within the gateway's limit of 1 MiB."""

import base64
import gzip
import io
import zipfile

ROOM = 900_000
"""Characters of a hostile mail."""


def zip_bomb() -> str:
    """Return a mail with a zip of half a gibibyte of zeros."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("zeros", "w") as zeros:
        for _ in range(512):
            zeros.write(bytes(1 << 20))
    return _attached("application/zip", packed.getvalue())


def gzip_bomb() -> str:
    """Return a mail with a gzip that claims to be text, of 400 MB."""
    return _attached("text/html", gzip.compress(b"<p>" * (1 << 27), 9), "Content-Encoding: gzip\n")


def _attached(kind: str, content: bytes, more: str = "") -> str:
    encoded = base64.encodebytes(content).decode()[:ROOM]
    return f"Subject: x\nMIME-Version: 1.0\nContent-Type: {kind}\n{more}Content-Transfer-Encoding: base64\n\n{encoded}"


def deep_parts() -> str:
    """Return a mail of thousands of parts, each inside the one before."""
    depth = ROOM // 80
    opened = [f'Content-Type: multipart/mixed; boundary="b{level}"\n\n--b{level}\n' for level in range(depth)]
    return "Subject: x\nMIME-Version: 1.0\n" + "".join(opened) + "Content-Type: text/plain\n\nthe end"


def deep_messages() -> str:
    """Return a mail of thousands of messages, each attached to the one before."""
    return "Subject: x\nContent-Type: message/rfc822\n\n" * (ROOM // 50) + "Subject: x\n\nthe end"


def many_parts() -> str:
    """Return a mail with a part for every few characters."""
    head = 'Subject: x\nMIME-Version: 1.0\nContent-Type: multipart/mixed; boundary="b"\n\n'
    return head + "--b\n\nx\n" * (ROOM // 7)


def deep_markup() -> str:
    """Return a mail of HTML in which nothing is ever closed."""
    return "Subject: x\nContent-Type: text/html\n\n" + "<div><b><a href='http://x'>" * (ROOM // 27)


def endless_line() -> str:
    """Return a mail of one line and one word."""
    return "Subject: x\n\n" + "a" * ROOM


def many_headers() -> str:
    """Return a mail of headers without a body."""
    return "X-A: =?utf-8?q?=41?=\n" * (ROOM // 21) + "\n"


MAILS = {
    mail.__name__: mail
    for mail in (
        zip_bomb,
        gzip_bomb,
        deep_parts,
        deep_messages,
        many_parts,
        deep_markup,
        endless_line,
        many_headers,
    )
}
