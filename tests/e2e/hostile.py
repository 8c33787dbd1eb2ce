"""Mails that are made to harm whoever parses them; each is within the gateway's limit of 1 MiB."""

import base64
import gzip
import io
import zipfile

ROOM = 900_000
"""Characters."""


def zip_bomb() -> str:
    """A zip of half a gibibyte of zeros."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("zeros", "w") as zeros:
        for _ in range(512):
            zeros.write(bytes(1 << 20))
    return _attached("application/zip", packed.getvalue())


def gzip_bomb() -> str:
    """A gzip that claims to be text, of 400 MB."""
    return _attached("text/html", gzip.compress(b"<p>" * (1 << 27), 9), "Content-Encoding: gzip\n")


def _attached(kind: str, content: bytes, more: str = "") -> str:
    encoded = base64.encodebytes(content).decode()[:ROOM]
    return f"Subject: x\nMIME-Version: 1.0\nContent-Type: {kind}\n{more}Content-Transfer-Encoding: base64\n\n{encoded}"


def deep_parts() -> str:
    """Thousands of parts, each inside the one before."""
    depth = ROOM // 80
    opened = [f'Content-Type: multipart/mixed; boundary="b{level}"\n\n--b{level}\n' for level in range(depth)]
    return "Subject: x\nMIME-Version: 1.0\n" + "".join(opened) + "Content-Type: text/plain\n\nthe end"


def deep_messages() -> str:
    """Thousands of messages, each attached to the one before."""
    return "Subject: x\nContent-Type: message/rfc822\n\n" * (ROOM // 50) + "Subject: x\n\nthe end"


def many_parts() -> str:
    """A part for every few characters."""
    head = 'Subject: x\nMIME-Version: 1.0\nContent-Type: multipart/mixed; boundary="b"\n\n'
    return head + "--b\n\nx\n" * (ROOM // 7)


def deep_markup() -> str:
    """HTML in which nothing is ever closed."""
    return "Subject: x\nContent-Type: text/html\n\n" + "<div><b><a href='http://x'>" * (ROOM // 27)


def endless_line() -> str:
    """One line, one word."""
    return "Subject: x\n\n" + "a" * ROOM


def many_headers() -> str:
    """Headers without a body."""
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
